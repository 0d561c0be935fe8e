#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/log.h"
#include "base/result.h"
#include "isolation/container.h"
#include "thermos/checkpoint.h"
#include "thermos/events.h"
#include "thermos/runner/attempt.h"
#include "thermos/runner/control_server.h"
#include "thermos/runner/limits_watch.h"
#include "thermos/runner/usage_watch.h"
#include "thermos/runner/watchers.h"
#include "thermos/runner_spec.h"
#include "thermos/task_machine.h"

namespace dewar {

/// Thermos's exit codes of a runner, which executors understand.
enum class RunnerExit : int {
  kDone = 0,
  kInternal = 101,
  kInvalidTask = 102,
  kUnknown = 103,
  kNoUser = 104,
  kTerminal = 105
};

struct RunnerOptions {
  bool force = false;            ///< a runner that holds the task is killed first
  bool kill = false;             ///< take over only to kill
  int client = -1;               ///< a connection to the control socket that is there already: who has started us
  std::string unprotected = {};  ///< why this process is not spared when the host runs out of memory, if it is not
};

/// One task from wherever it stands to its end: joins machine, checkpoint, container, attempts and control socket. The
/// machine decides; this class makes it so in the kernel and tells the machine what has happened there.
class Runner final : private TaskEffects {
 public:
  Runner(RunnerSpec spec, RunnerOptions options);
  /// Blocks until the task has ended, or it cannot be run. What went wrong is in `<run>/runner.log`.
  RunnerExit run();

 private:
  using Key = std::pair<std::string, int>;

  // TaskEffects
  void record(const Record& record) override;
  void launch(const std::string& process, int run) override;
  void signal(const std::string& process, int run, int signal) override;
  void wake_at(Time when) override;
  void finished(TaskState state) override;

  // Starting and taking over
  RunnerExit fail_with(RunnerExit code, const std::string& words) const;
  Result<void> open_container(const TaskHistory& history);
  void leave_container();
  void adopt_runs(const TaskHistory& history);
  Result<void> watch_everything();
  Result<void> watch_signals();
  Result<void> watch_launchers();
  HeaderRecord header() const;
  const ProcessSpec& process_spec(const std::string& name) const;

  // What happens in the kernel
  void watch(Attempt attempt);
  void tell_running(Attempt& attempt, const AttemptStatus& status);
  void tell_losses(Attempt& attempt, const AttemptStatus& status);
  void launcher_ended(const Key& key);
  void container_ended();
  std::string change_limits(const std::string& words);
  void fail_task(const std::string& reason);
  void kill_task(std::optional<Duration> wait, const std::string& who);
  std::unique_ptr<UsageWatch> watch_usage(const WatchContext& context);
  void write_pending();
  /// Writes an event down and tells it to subscribers; a `time` of 0 is filled in.
  void tell(EventRecord event);
  void clean_up();

  const RunnerSpec spec_;
  const RunnerOptions options_;
  const SystemClock clock_;
  const Log log_;
  const EventFile events_;
  EventLoop loop_;
  ControlServer control_;
  TaskMachine machine_;
  std::optional<Checkpoint> checkpoint_;
  std::vector<Record> unwritten_;  ///< while the disk is full: kept, published, and tried again
  std::optional<Container> container_;
  std::map<Key, Attempt> attempts_;
  std::vector<std::unique_ptr<Watcher>> watchers_;
  LimitsWatch* limits_ = nullptr;  ///< one of watchers_
  std::unique_ptr<UsageWatch> usage_;
  UniqueFd signals_, bell_;
  EventLoop::TimerId tick_timer_ = 0, write_timer_ = 0;
  std::string boot_id_;
  bool done_ = false;
  bool started_ = false;  ///< an attempt, since memory was last given back
};

}  // namespace dewar
