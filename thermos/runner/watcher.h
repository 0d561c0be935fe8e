// What looks after one side of a running task beside its processes: its disk, its ports, its cgroup. Each watcher has a
// file of its own and waits on descriptors and timers of the runner's loop.
#pragma once

#include <functional>
#include <string>

#include "base/clock.h"
#include "base/event_loop.h"
#include "isolation/container.h"
#include "thermos/records.h"
#include "thermos/runner_spec.h"

namespace dewar {

/// What a watcher works with. All of it outlives the watcher.
struct WatchContext {
  EventLoop& loop;
  const Clock& clock;
  const RunnerSpec& spec;
  Container& container;
  std::function<void(EventRecord)> tell;                     ///< a time of 0 is filled in
  std::function<void(const std::string& reason)> fail_task;  ///< every process is killed, the task becomes FAILED
  /// The task is stopped as usual and becomes FAILED, unless it is ending already; `why` is then not told either.
  std::function<void(const std::string& reason, EventRecord why)> end_task;
  std::function<void(const std::string& process, int run, int signal)> signal_run;  ///< to every process of it
};

/// Watches until it is destroyed.
class Watcher {
 public:
  virtual ~Watcher() = default;
  /// A run is about to begin.
  virtual void run_started() {}
  /// A run runs: one that was just started, or one that was taken over.
  virtual void run_running(const std::string& /*process*/, int /*run*/, pid_t) {}
  /// A run has ended, and this is what it has used in all; the machine hears of it next.
  virtual void run_ended(const std::string& /*process*/, const Usage&) {}
  /// What the task has used by now. For whatever is looked at now and then: an idle runner has no other timer.
  virtual void each_second(const Usage& /*task*/) {}
  /// A run has lost output, and this was just told.
  virtual void output_lost() {}
  /// The task is not ACTIVE, or no longer; said more than once.
  virtual void task_ending() {}
  /// The sandbox has died; the machine hears of it next.
  virtual void sandbox_ended() {}
  /// Adds to the whole task's usage what its cgroup does not tell, or forgets with a run's.
  virtual void complete(Usage&) const {}
};

}  // namespace dewar
