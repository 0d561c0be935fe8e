// The life of a task as a machine without side effects: events in, effects out. No clock but the one it is given, no
// process, no file; tests drive it by hand. The semantics are Thermos's (docs/architecture.md, "Life of a task").
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/process.h"
#include "thermos/history.h"
#include "thermos/run_end.h"
#include "thermos/task_plan.h"

namespace dewar {

/// What the machine wants done, in the order in which it asks. Calls must not call back into the machine, except that
/// launch() may answer at once with forked() or refused().
class TaskEffects {
 public:
  virtual ~TaskEffects() = default;
  /// Write it down (before the next effect is acted on).
  virtual void record(const Record& record) = 0;
  /// Start run `run` of `process`; answer with forked() or refused().
  virtual void launch(const std::string& process, int run) = 0;
  /// Send SIGTERM or SIGKILL to every process of that run's tree. The answer is ended().
  virtual void signal(const std::string& process, int run, int signal) = 0;
  /// Call tick() at `when`; replaces what was asked before.
  virtual void wake_at(Time when) = 0;
  /// The terminal state is recorded and nothing of the task lives any more.
  virtual void finished(TaskState state) = 0;
};

class TaskMachine {
 public:
  /// `plan` has passed check_plan(); it, `clock` and `effects` must outlive the machine.
  TaskMachine(const TaskPlan& plan, const Clock& clock, TaskEffects& effects);
  ~TaskMachine();

  /// Before start(): takes over what earlier runners recorded. Waits of min_duration begin anew. Runs that were alive
  /// stay FORKED or RUNNING until running() or ended() is called for them. Errors: the history does not fit the plan.
  Result<void> resume(const TaskHistory& history);
  /// Takes control: records the current state with the runner's identity, and the header if there is none yet. Acts on
  /// it (launches, signals) only from the first tick() on, which it asks for at once: until then the runner can tell
  /// what has become of the runs and the sandbox it found.
  void start(const HeaderRecord& header, pid_t runner_pid, uid_t runner_uid, const std::string& boot_id);

  void forked(const std::string& process, int run, const ProcessId& launcher);
  /// The run could not be launched: FAILED, counted.
  void refused(const std::string& process, int run, const std::string& reason, double stop_time);
  void running(const std::string& process, int run, pid_t pid, double start_time);
  void ended(const std::string& process, int run, const RunEnd& end);

  /// Ends the task as `outcome` (KILLED or LOST): CLEANING with SIGTERM, finalizers, all within `wait` from now. Of a
  /// task that is ending already it can only shorten the time, and sets the outcome.
  void kill(Duration wait, TaskState outcome, const std::string& reason);
  /// The task has broken a limit: FAILED, whatever its processes say, with the usual cleaning and finalizers. An
  /// outcome that is decided already stands, unless it is SUCCESS.
  void fail(const std::string& reason);
  /// The sandbox is gone and with it every process: every living run is told lost by its launcher or by ended(); the
  /// task becomes LOST without finalizers. An outcome that is decided already stands.
  void sandbox_lost(const std::string& reason);
  void tick();

  const TaskHistory& history() const;
  /// Whole-task usage, and the limits (as limits_text() writes them), to be recorded with the terminal state; asked for
  /// once nothing lives any more.
  void set_usage(const Usage& usage, const std::string& limits = {});

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace dewar
