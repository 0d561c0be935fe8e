// Which process may run when: the graph of a task's regular or of its final processes, and what has become of each.
// Pure: no clock, no process. The rules are Thermos's (docs/architecture.md, "Life of a task").
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "thermos/history.h"
#include "thermos/task_plan.h"

namespace dewar {

/// Errors (EINVAL, in words): a name that is used twice or not at all; an order that mixes regular and final processes,
/// runs in a circle, waits for a daemon, or lets what the task waits for wait for an ephemeral process.
Result<void> check_plan(const TaskPlan& task);

class Plan {
 public:
  /// How often a process is run at most, whatever its ends; then it has failed for good (an ephemeral one is finished).
  static constexpr std::uint32_t kMaxRuns = 100;

  /// `task` has passed check_plan() and outlives the plan. `final`: of its final processes, else of the regular ones.
  Plan(const TaskPlan& task, bool final);

  /// Takes over the runs of one process. What waited for its min_duration waits anew from `now`, but a run that was
  /// about to be launched is ready at once. Errors: the runs go on after the process was done.
  Result<void> restore(const std::string& process, const std::vector<RunHistory>& runs, Time now);
  /// After all restore(): errors if a process has run before those it waits for were finished.
  Result<void> check_order() const;

  bool contains(const std::string& process) const { return index_.contains(process); }
  /// Pending, all predecessors finished, min_duration over; in the order of the task file.
  std::vector<std::string> ready(Time now) const;
  /// The earliest moment after `now` at which another process becomes ready by itself.
  std::optional<Time> next_ready(Time now) const;

  /// Errors: not pending, or a predecessor has not finished.
  Result<void> start(const std::string& process);
  /// The end of a run, processed at `now`: a terminal state. KILLED counts as LOST: neither good nor bad. Errors: not
  /// running.
  Result<void> end(const std::string& process, ProcessState how, Time now);

  std::size_t running() const;
  /// Processes that have failed for good.
  std::vector<std::string> failed() const;
  std::vector<std::string> finished() const;
  /// Everything that counts is done: finished, failed, or ephemeral.
  bool complete() const;
  /// Not complete, and nothing runs nor ever will.
  bool deadlocked() const;
  std::size_t size() const { return nodes_.size(); }

 private:
  enum class Standing { kPending, kRunning, kFinished, kFailed };
  struct Node {
    const ProcessSpec* spec;
    std::vector<std::size_t> after;  ///< what it waits for
    Standing standing = Standing::kPending;
    std::uint32_t successes = 0, failures = 0, losses = 0;
    Time ready_at{};
  };
  Node* find(const std::string& process);
  bool runnable(const Node& node) const;
  std::vector<std::string> names(Standing standing) const;
  static Standing after_end(const Node& node, ProcessState how);

  std::vector<Node> nodes_;
  std::map<std::string, std::size_t> index_;
};

}  // namespace dewar
