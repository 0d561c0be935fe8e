#pragma once

#include <map>
#include <string>

#include "thermos/runner/watcher.h"

namespace dewar {

/// Ends what runs longer than its `time_limit`: a run gets SIGTERM, and SIGKILL after the task's finalization_wait; the
/// task is ended as one that has failed. The age is that of the first process, by the clock that runs since the host
/// has booted: a new runner finds the same age, and setting the host's clock changes nothing.
class TimeWatch final : public Watcher {
 public:
  explicit TimeWatch(const WatchContext& context);
  ~TimeWatch() override;

  void run_running(const std::string& process, int run, pid_t pid) override;
  void run_ended(const std::string& process, const Usage& used) override;

 private:
  void run_is_over(const std::string& process, int run);
  void task_is_over();

  WatchContext context_;
  std::map<std::string, EventLoop::TimerId> timers_;  ///< of the living run of each process that has a limit
  EventLoop::TimerId task_timer_ = 0;
};

/// The limit that a run was ended for; zero: it was not.
Duration time_limit_met(const RunnerSpec& spec, const std::string& process, int run);

}  // namespace dewar
