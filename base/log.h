#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/unique_fd.h"

namespace dewar {

/// Appends lines to one file, each with its time and one write(2): what a program has to say beside its results. An
/// unwritable log is no reason to fail, so nothing is reported.
class Log {
 public:
  Log() = default;
  explicit Log(const std::string& path);
  /// Control characters in `text` are shown as \xNN.
  void line(std::string_view text) const;

 private:
  UniqueFd fd_;
};

}  // namespace dewar
