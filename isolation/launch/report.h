// How a child half tells its outer half how far it came: one LaunchReport on a close-on-exec pipe. End-of-file without
// a report means that execve(2) has closed the pipe (or that the child was killed).
#pragma once

#include <optional>
#include <string_view>

#include "isolation/attempt_status.h"

namespace dewar {

/// The child's end of the pipe.
class Reporter {
 public:
  explicit Reporter(int fd) : fd_(fd) {}

  /// Tells the step that failed, errno and what it was about, and ends this process.
  [[noreturn]] void refuse(const char* step, std::string_view detail = {}) const;
  /// Tells that everything is done.
  void succeed() const;

 private:
  int fd_;
};

/// Waits for the child's report; nothing at end-of-file.
std::optional<LaunchReport> read_report(int fd);

}  // namespace dewar
