// How to talk to a living runner: a stream socket `<run>/control`, mode 0600. Requests are lines: "subscribe", "kill",
// "kill <seconds>", "lose", "limits <words>". The last is answered by a line, "ok" or "error <words>", and is not for
// subscribers. Whoever starts a runner may hand it a connection, as descriptor 3.
// Else answers come only to a subscriber: framed records (thermos/records.h), first the whole
// history, then each new record and, every second, samples. The runner closes the connection after the terminal state,
// when nothing of the task is left; if it closes earlier, it has died.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "thermos/records.h"

namespace dewar {

class RunnerClient {
 public:
  RunnerClient() = default;
  /// Over a connection that is there already.
  explicit RunnerClient(UniqueFd connection) : fd_(std::move(connection)) {}
  /// Errors: ENOENT, ECONNREFUSED: no runner lives there.
  static Result<RunnerClient> connect(const std::string& run_folder);

  Result<void> subscribe();
  /// Kills the task; `wait` bounds cleaning and finalizers, default: the runner's (docs/architecture.md).
  Result<void> kill(std::optional<Duration> wait = std::nullopt);
  /// Kills at once, without finalizers; the task becomes LOST.
  Result<void> lose();

  /// Changes limits of the running task: `words` as in thermos/limits_text.h. Waits for the answer; not for a
  /// subscriber. Errors: the runner's, in its words.
  Result<void> change_limits(const std::string& words);

  /// For poll(2): readable when receive() has something to do.
  const UniqueFd& fd() const { return fd_; }
  /// Appends the whole records that have arrived; false once the runner has closed the connection. Does not block when
  /// fd() is readable.
  Result<bool> receive(std::vector<Record>& records);

 private:
  Result<void> request(const std::string& line);
  UniqueFd fd_;
  std::string pending_;
};

/// A stream socket bound to, or connected to, `<folder>/control`, however long that path is.
Result<UniqueFd> listen_at(const std::string& folder);

}  // namespace dewar
