#include "thermos/logs/line_cutter.h"

#include <string.h>

#include <algorithm>

namespace dewar {
namespace {

constexpr std::uint64_t kPiece = LineCutter::kPiece;
constexpr std::size_t kBlock = 128u << 10;

/// Where the piece that begins at `begin` is cut if no newline comes before.
std::uint64_t piece_end(std::uint64_t begin) { return (begin + 2 * kPiece - 1) / kPiece * kPiece; }

const char* last_newline(std::string_view text) {
  return static_cast<const char*>(::memrchr(text.data(), '\n', text.size()));
}

}  // namespace

std::string_view LineCutter::window(std::uint64_t from, std::uint64_t to) const {
  return std::string_view(window_).substr(static_cast<std::size_t>(from - begin_), static_cast<std::size_t>(to - from));
}

void LineCutter::start_at(std::uint64_t position) {
  window_.clear();
  begin_ = line_ = seen_ = position;
  char before = '\n';
  if (position > 0) files_->read(position - 1, &before, 1);
  continued_ = before != '\n';
}

void LineCutter::start_with_line_at(std::uint64_t position, std::uint64_t floor) {
  const std::uint64_t from = std::max(floor, position - std::min(position, 2 * kPiece));
  std::string back;
  while (from + back.size() < position) {
    const std::size_t had = back.size(), wanted = static_cast<std::size_t>(position - from - had);
    back.resize(had + wanted);
    const StreamFiles::Bytes bytes = files_->read(from + had, back.data() + had, wanted);
    back.resize(had + bytes.size);
    if (bytes.size == 0) break;
  }
  if (from + back.size() < position) return start_at(position);  // what was before is not there any more
  const char* const newline = last_newline(back);
  const std::uint64_t begin = newline != nullptr ? from + static_cast<std::size_t>(newline + 1 - back.data()) : from;
  const bool known = newline != nullptr || from == floor;
  const std::uint64_t first = known ? piece_end(begin) : 0;
  start_at(known && position < first ? begin : position / kPiece * kPiece);
}

LineCutter::Cut LineCutter::take(std::uint64_t text_end, std::uint64_t end, bool unfinished) {
  const Cut cut{.position = line_,
                .end = end,
                .text = window(line_, text_end),
                .continued = continued_,
                .unfinished = unfinished};
  line_ = seen_ = end;
  continued_ = unfinished;
  return cut;
}

/// Passes over whole lines in front of `end` that are not asked for.
void LineCutter::skip(std::uint64_t end, const LineFilter& only) {
  const std::string_view text = window(line_, end);
  const std::size_t first = only.first_of(text);
  const char* const newline = last_newline(text.substr(0, first));
  if (newline == nullptr) return;
  line_ = seen_ = line_ + static_cast<std::size_t>(newline + 1 - text.data());
  continued_ = false;
}

/// True: a cut has come of it, because bytes are missing.
bool LineCutter::read_more(std::uint64_t limit, Cut& cut) {
  if (line_ > begin_) {
    window_.erase(0, static_cast<std::size_t>(line_ - begin_));
    begin_ = line_;
  }
  const std::size_t had = window_.size();
  window_.resize(had + kBlock);
  const StreamFiles::Bytes bytes = files_->read(seen_, window_.data() + had, kBlock);
  window_.resize(had + bytes.size);
  if (bytes.size > 0) return false;
  if (flush(cut)) return true;  // then the gap, next time
  const std::uint64_t resume = bytes.resume ? *bytes.resume : limit;
  cut = {.position = seen_, .end = resume, .text = {}, .missing = true, .damaged = bytes.damaged};
  window_.clear();
  begin_ = line_ = seen_ = resume;
  continued_ = false;
  return true;
}

bool LineCutter::next(std::uint64_t limit, const LineFilter* only, Cut& cut) {
  while (seen_ < limit) {
    const std::uint64_t known = std::min(limit, begin_ + window_.size());
    if (seen_ >= known) {
      if (read_more(limit, cut)) return true;
      continue;
    }
    if (only != nullptr && seen_ == line_ && !continued_) skip(known, *only);
    const std::uint64_t stop = std::min(known, piece_end(line_));
    if (seen_ < stop) {
      const std::string_view fresh = window(seen_, stop);
      if (const void* newline = ::memchr(fresh.data(), '\n', fresh.size())) {
        const std::uint64_t at = seen_ + static_cast<std::size_t>(static_cast<const char*>(newline) - fresh.data());
        cut = take(at, at + 1, false);
        return true;
      }
      seen_ = stop;
    }
    if (seen_ == piece_end(line_)) {
      cut = take(seen_, seen_, true);
      return true;
    }
  }
  return false;
}

bool LineCutter::flush(Cut& cut) {
  if (line_ == seen_) return false;
  cut = take(seen_, seen_, true);
  return true;
}

}  // namespace dewar
