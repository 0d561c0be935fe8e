// Follows a task to its end: finds or starts its runner, feeds a history from the runner's records, shows it, and
// passes a person's wish to stop on to the runner. The task does not depend on it: when it dies, the runner goes on.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "agent/cli/presenter.h"
#include "base/event_loop.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "thermos/control.h"
#include "thermos/history.h"
#include "thermos/prepare.h"

namespace dewar {

class RunSession {
 public:
  /// Both must outlive the session.
  RunSession(const PreparedRun& run, Presenter& presenter)
      : spec_(run.spec), may_be_known_(run.existed), presenter_(presenter) {}

  /// Returns once the task has ended and nothing of it is left. SIGINT and SIGTERM to this process stop the task: the
  /// first kills it properly, the second loses it at once. A runner that dies is started again, at most five times in a
  /// row. Errors: no runner can be started, or none stays alive.
  Result<TaskHistory> follow();

 private:
  enum class Wish { kNone, kKill, kLose };

  Result<void> take_signals();
  Result<void> connect();
  Result<bool> try_connect();
  Result<void> reconnect();
  bool has_ended();
  bool has_records() const;
  void read_records();
  void begin_anew();
  void take(const Record& record);
  void connection_closed();
  Result<void> count_death();
  int reap();
  void read_signal();
  void pass_on_wish();
  void show_soon();
  void show();
  std::string last_words() const;

  const RunnerSpec& spec_;
  bool may_be_known_;  ///< a runner may live, or the task have ended
  Presenter& presenter_;
  EventLoop loop_;
  SystemClock clock_;
  std::optional<RunnerClient> client_;
  UniqueFd signals_;
  TaskHistory history_;
  std::size_t told_ = 0;                           ///< records that were shown as events, over all runners
  std::size_t seen_ = 0;                           ///< records of this connection
  std::size_t events_told_ = 0, events_seen_ = 0;  ///< the same for event records, which come from a file of their own
  bool fresh_ = true;                              ///< nothing has come over this connection yet
  bool is_told_ = false;  ///< by the runner; of a new run's first one the end is enough for some
  pid_t child_ = -1;      ///< the runner, if we have started it
  int restarts_ = 0;      ///< in a row
  Time connected_{};
  Wish wish_ = Wish::kNone;
  EventLoop::TimerId frame_timer_ = 0;
  Time last_frame_{};
  std::optional<Failure> failure_;
};

}  // namespace dewar
