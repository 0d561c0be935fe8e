#pragma once

#include <poll.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "isolation/launch/rate_limit.h"
#include "isolation/launch/run_log.h"
#include "isolation/launch/spool.h"

namespace dewar {

/// One stream's way: out of `pipe`, into the run's log and onto the descriptor `console`, either of which may be
/// missing.
struct LogStream {
  OutputStream id = OutputStream::kStdout;
  UniqueFd pipe;
  int console = -1;
  std::uint64_t console_lost = 0;
  bool open = false;  ///< the last line that was kept has not ended yet
  bool cut = false;   ///< the rest of a line is dropped, as its beginning was
};

/// Moves what an attempt writes to where it belongs. Sleeps in poll(2) while there is nothing to do; gives its buffer's
/// memory back when it has been idle for a second.
class LogPump {
 public:
  /// As much as a pump that is killed can have taken out of the pipes and not put into the log yet.
  static constexpr std::uint64_t kInHand = 256u << 10;

  /// `log` may be null: then nothing is kept. `tell` is called with losses() soon after the first of a kind.
  LogPump(std::vector<LogStream> streams, std::unique_ptr<RunLog> log,
          std::function<void(const std::string&)> tell = nullptr);

  /// Returns once the process behind `pidfd` has ended.
  void run_until_ended(int pidfd);
  /// Moves what is left in the pipes after the last writer has gone. What went wrong is in losses(): a writer that is
  /// still there (end-of-file does not come within a second, or more comes than a pipe holds).
  void drain();
  /// What was lost and why, for a person; empty: nothing.
  std::string losses() const;

 private:
  /// Moves one read's worth and returns how much that was; at end-of-file 0, and the pipe is closed.
  std::size_t move_some(LogStream& stream, bool limited);
  std::size_t move_spooled();
  std::size_t move_ready(const std::vector<pollfd>& watched);
  void take(LogStream& stream, std::string_view bytes, bool limited);
  void keep(LogStream& stream, std::string_view bytes, bool limited);
  void drain_spool();
  bool is_held_back();
  int patience() const;
  void have_rest();
  void pause(int pidfd);
  void look_after();

  struct Unmap {
    void operator()(char* memory) const;
  };
  std::vector<LogStream> streams_;
  std::unique_ptr<RunLog> log_;
  std::function<void(const std::string&)> tell_;
  RateLimit rate_;
  std::unique_ptr<char, Unmap> buffer_;
  std::optional<Spool> spool_;     ///< has the pipes, if the process shall not wait
  std::uint64_t not_kept_up_ = 0;  ///< bytes that it dropped
  std::string held_open_;          ///< names of the streams that drain() gave up
  std::uint64_t over_rate_ = 0;    ///< bytes dropped
  std::size_t told_ = 0;           ///< how many reasons
  bool busy_ = false;              ///< there was output within the last second
  std::int64_t looked_ = 0;        ///< when look_after() was called
  Duration pause_{1'000'000};
  std::size_t since_pause_ = 0;
};

}  // namespace dewar
