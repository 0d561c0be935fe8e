#include "thermos/explain/waiting.h"

#include <algorithm>
#include <set>

#include "base/units.h"
#include "thermos/explain/reasons.h"
#include "thermos/explain/run_death.h"
#include "thermos/plan.h"

namespace dewar {
namespace {

const ProcessSpec* find_spec(const TaskPlan& plan, const std::string& process) {
  const auto found = std::ranges::find(plan.processes, process, &ProcessSpec::name);
  return found == plan.processes.end() ? nullptr : &*found;
}

/// What a process waits for, in the order of the constraints.
std::vector<std::string> predecessors(const TaskPlan& plan, const std::string& process) {
  std::vector<std::string> names;
  for (const Order& order : plan.constraints)
    for (std::size_t i = 1; i < order.size(); ++i)
      if (order[i] == process && std::ranges::find(names, order[i - 1]) == names.end()) names.push_back(order[i - 1]);
  return names;
}

/// What has become of every process of the plan that `process` belongs to.
class Standing {
 public:
  Standing(const Evidence& evidence, bool final) {
    if (!check_plan(evidence.plan)) return;
    Plan plan(evidence.plan, final);
    for (const auto& [name, runs] : evidence.history.processes)
      if (plan.contains(name)) (void)!plan.restore(name, runs, Time{});
    for (const std::string& name : plan.finished()) finished_.insert(name);
    for (const std::string& name : plan.failed()) failed_.insert(name);
    running_ = plan.running();
  }
  bool finished(const std::string& name) const { return finished_.contains(name); }
  bool failed(const std::string& name) const { return failed_.contains(name); }
  std::size_t running() const { return running_; }

 private:
  std::size_t running_ = 0;
  std::set<std::string> finished_, failed_;
};

/// The run that a process is in or comes to next: " (run 2 of 3)" once one has failed.
std::string run_words(const ProcessSpec& spec, std::size_t number) {
  if (number == 0 || spec.max_failures == 1) return {};
  const std::string most = spec.max_failures == 0 ? "" : " of " + std::to_string(spec.max_failures);
  return "run " + std::to_string(number + 1) + most;
}

/// Where the task itself stands: it has ended, or is about to.
bool task_ends(const Evidence& evidence) { return evidence.history.state() != TaskState::kActive; }

Waiting not_started_with_task(const Evidence& evidence) {
  const Death death = death_of_task(evidence);
  Waiting waiting{true, false, "was not started: the task ended first", {}};
  if (!death.words.empty()) waiting.chain.push_back("the task ended: " + death.words);
  if (!death.words.empty()) waiting.words += ": " + death.words;
  return waiting;
}

/// Why the process `name`, which another waits for, is not done. `seen`: whoever asked already; orders have no circles,
/// but evidence may be damaged.
Waiting blocked_by(const Evidence& evidence, const Standing& standing, const std::string& name,
                   std::set<std::string> seen) {
  const ProcessSpec* spec = find_spec(evidence.plan, name);
  if (spec == nullptr || !seen.insert(name).second) return {true, true, name + ", which is not in the plan", {}};
  const auto& runs = runs_in(evidence.history, name);
  if (standing.failed(name)) {
    const std::string words = failure_words(*spec, runs);
    return {true, true, words, {words}};
  }
  if (const std::string work = at_work(evidence, name); !work.empty() && !task_ends(evidence))
    return {false, true, name + ", which " + work, {name + " " + work}};
  for (const std::string& before : predecessors(evidence.plan, name)) {
    if (standing.finished(before)) continue;
    Waiting why = blocked_by(evidence, standing, before, seen);
    why.chain.insert(why.chain.begin(), why.for_ever ? name + " was not started" : name + " waits for " + before);
    if (!why.for_ever) why.words = name + ", which waits for " + why.words;
    return why;
  }
  const std::string words = task_ends(evidence) ? name + " did not finish" : name;
  return {task_ends(evidence), true, words, {words}};
}

std::string next_run_words(const ProcessSpec& spec, const std::vector<RunHistory>& runs) {
  const std::string next = run_words(spec, runs.size());
  const RunHistory& last = runs.back();
  std::string words = "waits " + format_duration(spec.min_duration) + " for its " + (next.empty() ? "next run" : next);
  if (last.state != ProcessState::kSuccess && !last.reason.empty()) words += ": " + last.reason;
  return words;
}

}  // namespace

std::string at_work(const Evidence& evidence, const std::string& process) {
  const ProcessSpec* spec = find_spec(evidence.plan, process);
  const auto& runs = runs_in(evidence.history, process);
  if (spec == nullptr || runs.empty() || is_terminal(runs.back().state)) return {};
  const RunHistory& run = runs.back();
  const std::string number = run_words(*spec, runs.size() - 1);
  if (run.state == ProcessState::kWaiting) return number.empty() ? "waits for its turn" : "waits for its " + number;
  if (run.state == ProcessState::kForked) return "is being started" + (number.empty() ? "" : " (" + number + ")");
  if (!run.progress.empty()) return "fetches: " + run.progress;
  const bool timed = run.start_time && evidence.now > *run.start_time;
  const std::string age = timed ? " for " + format_seconds(evidence.now - *run.start_time) : "";
  if (number.empty()) return timed ? "has run" + age : "runs";
  return "is in its " + number + (timed ? "," + age : "");
}

Waiting why_waiting(const Evidence& evidence, const std::string& process) {
  const ProcessSpec* spec = find_spec(evidence.plan, process);
  if (spec == nullptr) return {true, false, "is not in the plan", {}};
  const Standing standing(evidence, spec->final);
  for (const std::string& before : predecessors(evidence.plan, process)) {
    if (standing.finished(before)) continue;
    if (task_ends(evidence) && !standing.failed(before) && death_of_task(evidence).cause != Cause::kProcesses) break;
    Waiting why = blocked_by(evidence, standing, before, {process});
    why.words = (why.for_ever ? "was not started: " : "waits for ") + why.words;
    return why;
  }
  if (evidence.history.terminal()) return not_started_with_task(evidence);
  if (spec->final && evidence.history.state() == TaskState::kActive)
    return {false, false, "is a final process: it runs when the others have ended", {}};
  if (!spec->final && task_ends(evidence)) return not_started_with_task(evidence);
  if (const auto& runs = runs_in(evidence.history, process); !runs.empty())
    return {false, false, next_run_words(*spec, runs), {}};
  if (evidence.plan.max_concurrency > 0 && standing.running() >= evidence.plan.max_concurrency)
    return {false,
            false,
            "waits for a free place: max_concurrency is " + std::to_string(evidence.plan.max_concurrency),
            {}};
  return {false, false, "is about to be started", {}};
}

}  // namespace dewar
