#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace re2 {
class RE2;
}

namespace dewar {

/// Which lines are asked for. Cheap to copy; may be used by several readers.
class LineFilter {
 public:
  /// Every line.
  LineFilter() = default;
  /// Lines that have `text` in them. With ignore_case letters of both cases are the same.
  static LineFilter containing(std::string text, bool ignore_case = false);
  /// Lines that a regular expression in RE2's syntax matches somewhere. Errors: words that say what is wrong with it.
  static Result<LineFilter> matching(const std::string& pattern, bool ignore_case = false);

  bool takes_all() const { return !regex_ && text_.empty(); }
  bool takes(std::string_view line) const;
  /// Of several lines with a newline between them: nothing in front of the line that has this offset is asked for.
  /// npos: none of them is.
  std::size_t first_of(std::string_view lines) const;

 private:
  std::string text_;
  std::shared_ptr<const re2::RE2> regex_;  ///< for one line
  bool spans_ = true;                      ///< does regex_ say the same of a line among others?
};

}  // namespace dewar
