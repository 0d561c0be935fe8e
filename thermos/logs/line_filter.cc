#include "thermos/logs/line_filter.h"

#include <re2/re2.h>
#include <string.h>

namespace dewar {
namespace {

re2::StringPiece piece(std::string_view text) { return {text.data(), text.size()}; }

std::shared_ptr<const re2::RE2> compile(const std::string& pattern, bool ignore_case) {
  RE2::Options options;
  options.set_log_errors(false);
  options.set_case_sensitive(!ignore_case);
  return std::make_shared<const RE2>("(?m)" + pattern, options);  // ^ and $ are those of a line
}

}  // namespace

LineFilter LineFilter::containing(std::string text, bool ignore_case) {
  LineFilter filter;
  if (ignore_case && !text.empty()) {
    filter.regex_ = compile(RE2::QuoteMeta(piece(text)), true);
  } else {
    filter.text_ = std::move(text);
  }
  return filter;
}

Result<LineFilter> LineFilter::matching(const std::string& pattern, bool ignore_case) {
  LineFilter filter;
  filter.regex_ = compile(pattern, ignore_case);
  if (!filter.regex_->ok()) return fail("'" + pattern + "' is no regular expression: " + filter.regex_->error());
  // What asks for the ends of all text means those of a line.
  filter.spans_ =
      pattern.find("\\A") != pattern.npos || pattern.find("\\z") != pattern.npos || pattern.find("(?") != pattern.npos;
  return filter;
}

bool LineFilter::takes(std::string_view line) const {
  if (regex_) return RE2::PartialMatch(piece(line), *regex_);
  return text_.empty() ||
         (line.size() >= text_.size() && ::memmem(line.data(), line.size(), text_.data(), text_.size()) != nullptr);
}

std::size_t LineFilter::first_of(std::string_view lines) const {
  if (regex_ && spans_) return 0;
  if (regex_) {
    re2::StringPiece found;
    const bool any = regex_->Match(piece(lines), 0, lines.size(), RE2::UNANCHORED, &found, 1);
    return any ? static_cast<std::size_t>(found.data() - lines.data()) : lines.npos;
  }
  if (text_.empty()) return 0;
  const void* const found = ::memmem(lines.data(), lines.size(), text_.data(), text_.size());
  return found == nullptr ? lines.npos : static_cast<std::size_t>(static_cast<const char*>(found) - lines.data());
}

}  // namespace dewar
