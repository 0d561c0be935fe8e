#include "thermos/explain/run_death.h"

#include <algorithm>
#include <csignal>

#include "thermos/explain/reasons.h"
#include "thermos/explain/words.h"

namespace dewar {
namespace {

double seconds_of(const TaskRecord& status) { return static_cast<double>(status.timestamp_ms) / 1e3; }

const EventRecord* find_event(const Evidence& evidence, const std::string& kind, const std::string& process, int run) {
  const EventRecord* last = nullptr;
  for (const EventRecord& event : evidence.history.events)
    if (event.kind == kind && event.process == process && event.run == run) last = &event;
  return last;
}

/// The event that has ended the task, if one has.
const EventRecord* find_ending(const Evidence& evidence) {
  for (const EventRecord& event : evidence.history.events) {
    const auto ends = event.details.find("ends");
    if (ends != event.details.end() && ends->second == "task") return &event;
  }
  return nullptr;
}

Cause cause_in(const Details& details) {
  const auto found = details.find("cause");
  return found == details.end() ? Cause::kNone : cause_of(found->second);
}

/// When the task began to end; nothing while it is ACTIVE.
std::optional<double> ending_since(const TaskHistory& history) {
  for (const TaskRecord& status : history.statuses)
    if (status.state != TaskState::kActive) return seconds_of(status);
  return {};
}

/// A signal of the kind that we send when a task ends, at that time.
bool was_stopped(const TaskHistory& history, const RunHistory& run) {
  const auto since = ending_since(history);
  if (!since || !run.stop_time || !run.return_code || *run.stop_time + 0.001 < *since) return false;
  constexpr int kShell = 128;
  for (const int signal : {SIGTERM, SIGKILL})
    if (*run.return_code == -signal || *run.return_code == kShell + signal) return true;
  return *run.return_code == -1;  // what Thermos writes for a kill of its own
}

Death lost(const Evidence& evidence, const RunHistory& run) {
  if (rebooted_after(evidence, run.fork_time.value_or(0))) return {Cause::kHostLost, run.reason, {}};
  const bool sandbox = evidence.history.state() == TaskState::kLost || run.reason.find("sandbox") != std::string::npos;
  return {sandbox ? Cause::kSandboxLost : Cause::kLauncherLost, run.reason, {}};
}

/// From its code and what lies on the disk.
Death by_code(const Evidence& evidence, const RunHistory& run, const RunEvidence* known) {
  ExitFacts facts;
  facts.return_code = *run.return_code;
  facts.path = evidence.path;
  facts.rlimits = evidence.sandbox.rlimits;
  facts.oom_killed = run.usage.oom_kills > 0;
  facts.memory_limit = evidence.limits.memory;
  if (known != nullptr) {
    facts.stderr_tail = known->stderr_tail;
    facts.core_dumped = known->status && known->status->core_dumped;
  }
  return explain_exit(facts);
}

}  // namespace

bool rebooted_after(const Evidence& evidence, double since) {
  std::string boot;
  for (const TaskRecord& status : evidence.history.statuses) {
    if (!status.boot_id || status.boot_id->empty()) continue;
    if (!boot.empty() && *status.boot_id != boot && seconds_of(status) >= since) return true;
    boot = *status.boot_id;
  }
  return !evidence.boot_id.empty() && !boot.empty() && boot != evidence.boot_id && !evidence.history.terminal();
}

Death death_of_run(const Evidence& evidence, const std::string& process, int number) {
  const auto& runs = runs_in(evidence.history, process);
  if (number < 0 || static_cast<std::size_t>(number) >= runs.size()) return {};
  const RunHistory& run = runs[static_cast<std::size_t>(number)];
  if (!is_terminal(run.state)) return {Cause::kGoingOn, run.progress, {}};
  if (run.state == ProcessState::kSuccess) return {};
  Death death;
  const auto known = evidence.runs.find({process, number});
  if (const EventRecord* event = find_event(evidence, "end", process, number)) {
    death = {cause_in(event->details), "", event->details};
  } else if (run.state == ProcessState::kLost) {
    death = lost(evidence, run);
  } else if (!run.return_code) {
    death.cause = run.reason.starts_with("not started") ? Cause::kNotStarted : Cause::kLaunch;
  } else if (was_stopped(evidence.history, run)) {
    death.cause = Cause::kStopped;
  } else {
    death = by_code(evidence, run, known == evidence.runs.end() ? nullptr : &known->second);
  }
  if (!run.reason.empty()) death.words = run.reason;
  if (death.words.empty() && run.return_code) death.words = code_words(*run.return_code);
  if (death.words.empty()) death.words = "how it ended is not known";
  return death;
}

Death death_of_task(const Evidence& evidence) {
  const TaskHistory& history = evidence.history;
  std::string reason;
  for (const TaskRecord& status : history.statuses)
    if (status.reason) reason = *status.reason;
  TaskState outcome = history.state();
  if (!history.terminal() && !history.statuses.empty() && history.statuses.back().outcome)
    outcome = *history.statuses.back().outcome;
  switch (outcome) {
    case TaskState::kSuccess:
      return {Cause::kNone, reason, {}};
    case TaskState::kKilled:
      return {Cause::kRequest, reason, {}};
    case TaskState::kLost:
      if (reason.starts_with("lost on request")) return {Cause::kRequest, reason, {}};
      return {rebooted_after(evidence, 0) ? Cause::kHostLost : Cause::kSandboxLost, reason, {}};
    case TaskState::kFailed:
      if (const EventRecord* event = find_ending(evidence)) return {cause_in(event->details), reason, event->details};
      return {Cause::kProcesses, reason, {}};
    default:
      return {rebooted_after(evidence, 0) ? Cause::kHostLost : Cause::kGoingOn, reason, {}};
  }
}

}  // namespace dewar
