// One quota for all output of a task that is kept outside its sandbox. The pumps of all its attempts, each a process of
// its own, count in one small file, `<run>/log.used`, which every one of them maps. Byte for byte in docs/formats.md.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"

namespace dewar {

/// What the file says now.
struct LogUse {
  std::uint64_t used = 0;     ///< bytes in log files
  std::uint64_t dropped = 0;  ///< bytes of output that found no room
};

/// A part in a task's quota. Counts before it is written and after it is removed, so that a pump that dies in between
/// leaves too much counted, never too little. Any number of processes at once.
class LogQuota {
 public:
  /// No quota: everything has room.
  LogQuota() = default;
  /// Opens, or makes, the counter. Errors: of open(2), mmap(2); ELOOP or EINVAL if it is no regular file.
  static Result<LogQuota> open(const std::string& counter, std::uint64_t bytes);
  LogQuota(LogQuota&& other) noexcept;
  LogQuota& operator=(LogQuota&& other) noexcept;
  ~LogQuota();

  /// Everything is counted in `outer` too, and has room only where both have some.
  void within(LogQuota outer);

  /// Takes up to `bytes` of what is left and returns how much that was.
  std::uint64_t take(std::uint64_t bytes);
  /// Counts what is written whether there is room or not.
  void charge(std::uint64_t bytes);
  /// Gives back what was not written after all, or has been removed.
  void give_back(std::uint64_t bytes);
  /// Counts what found no room.
  void drop(std::uint64_t bytes);

  /// Is there any limit?
  bool limits() const { return counters_ != nullptr || outer_; }
  /// After take() has found too little room: whose was too small, for a person.
  std::string problem() const;

 private:
  struct Counters;
  Counters* counters_ = nullptr;
  std::uint64_t limit_ = 0;
  std::unique_ptr<LogQuota> outer_;
  bool outer_is_short_ = false;
};

/// What is counted so far; nothing at all if there is no such file. Errors: of open(2) other than ENOENT, read(2).
Result<LogUse> read_log_use(const std::string& counter);

}  // namespace dewar
