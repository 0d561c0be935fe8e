#pragma once

#include <optional>
#include <string>

#include "thermos/health.h"
#include "thermos/runner/watcher.h"

namespace dewar {

/// Asks a task whether it is healthy, one check at a time, from its start until it ends. A check is an attempt like any
/// other: dewar-launch puts it into the task's container as the task's user, behind its limits and its filter, and into
/// a leaf cgroup of its own, so that nothing of it outlives it. Between two checks there is no process. Of what a check
/// says the exit status counts; its output is only shown. Counts and last outcomes are in `<run>/health`, where the
/// next runner finds them.
class HealthWatch final : public Watcher {
 public:
  explicit HealthWatch(const WatchContext& context);
  ~HealthWatch() override;

  void task_ending() override { stop(); }
  void sandbox_ended() override { stop(); }

 private:
  /// The check that goes on. All but its output is found again by the next runner.
  struct Running {
    UniqueFd launcher;   ///< pidfd
    UniqueFd pipe;       ///< of what it writes; empty for one that was taken over
    std::string output;  ///< its beginning
    Time begun{};
    bool late = false;  ///< it had its time, and was killed
  };

  void check();
  bool take_over();
  Result<void> launch();
  void watch(Running running);
  void read_output();
  void look_at_time();
  void check_ended();
  void count(CheckOutcome outcome);
  void wait();
  void stop();
  void forget_check();
  void tell_trouble(const std::string& words);

  WatchContext context_;
  const HealthCheck check_;
  const std::int64_t port_;
  const HealthRules rules_;
  const std::string status_file_;
  HealthRecord record_;
  std::optional<Cgroup> leaf_;
  std::optional<Running> running_;
  EventLoop::TimerId timer_ = 0;  ///< of the next check, or of the end of the one that goes on
  std::string trouble_;           ///< as it was told last
};

}  // namespace dewar
