#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "isolation/launch/log_file.h"

namespace dewar {

/// One stream's way: out of `pipe`, into `file` and onto the descriptor `console`, either of which may be missing.
struct LogStream {
  std::string name;
  UniqueFd pipe;
  std::optional<LogFile> file;
  int console = -1;
  std::uint64_t console_lost = 0;
};

/// Moves what an attempt writes to where it belongs. Sleeps in poll(2) while there is nothing to do; gives its buffer's
/// memory back when it has been idle for a second.
class LogPump {
 public:
  explicit LogPump(std::vector<LogStream> streams);

  /// Returns once the process behind `pidfd` has ended.
  void run_until_ended(int pidfd);
  /// Moves what is left in the pipes after the last writer has gone. What went wrong is in losses(): a writer that is
  /// still there (end-of-file does not come within a second, or more comes than a pipe holds).
  void drain();
  /// What was lost and why, for a person; empty: nothing.
  std::string losses() const;

 private:
  /// Moves one read's worth and returns how much that was; at end-of-file 0, and the pipe is closed.
  std::size_t move_some(LogStream& stream);

  struct Unmap {
    void operator()(char* memory) const;
  };
  std::vector<LogStream> streams_;
  std::unique_ptr<char, Unmap> buffer_;
  std::string held_open_;  ///< names of the streams that drain() gave up
};

/// A pipe of 1 MiB if the kernel allows, so that a busy writer has to be met rarely. False with errno.
bool make_log_pipe(UniqueFd& reader, UniqueFd& writer);

}  // namespace dewar
