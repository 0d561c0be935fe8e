#include "thermos/explain/reasons.h"

#include <algorithm>
#include <csignal>
#include <vector>

#include "thermos/explain/words.h"

namespace dewar {

const std::vector<RunHistory>& runs_in(const TaskHistory& history, const std::string& process) {
  static const std::vector<RunHistory> kNone;
  const auto found = history.processes.find(process);
  return found == history.processes.end() ? kNone : found->second;
}

std::string failure_words(const ProcessSpec& spec, const std::vector<RunHistory>& runs) {
  if (runs.size() >= Plan::kMaxRuns) {
    return spec.name + " was run " + std::to_string(Plan::kMaxRuns) + " times, which is the most there is";
  }
  const auto failures = std::ranges::count(runs, ProcessState::kFailed, &RunHistory::state);
  std::string words = spec.name + " failed";
  if (spec.max_failures > 1) {
    words += " " + std::to_string(failures) + " of " + std::to_string(spec.max_failures) + " times";
  }
  if (runs.empty()) return words;
  const RunHistory& last = runs.back();
  if (!last.reason.empty()) return words + ": " + last.reason;
  return last.return_code ? words + ": " + code_words(*last.return_code) : words;
}

std::string reason_of_end(const RunEnd& end, Sent sent) {
  if (!end.reason.empty()) return end.reason;
  if (end.kind == RunEnd::Kind::kLost) return "how it ended is not known";
  if (sent == Sent::kKill && end.return_code == -SIGKILL) return "killed at the end of the task (SIGKILL)";
  if (sent == Sent::kNothing) return end.return_code == 0 ? "" : code_words(end.return_code);
  if (end.return_code == -SIGTERM) return "ended by SIGTERM at the end of the task";
  return code_words(end.return_code) + ", after SIGTERM at the end of the task";
}

std::string reason_of_outcome(const TaskHistory& history, const TaskPlan& task, const Plan& regular, bool success) {
  const std::vector<std::string> failed = regular.failed(), finished = regular.finished();
  std::vector<std::string> counted, unstarted;
  std::size_t good = 0;
  std::string failures;
  for (const ProcessSpec& spec : task.processes) {
    if (spec.final) continue;
    const std::vector<RunHistory>& runs = runs_in(history, spec.name);
    if (std::ranges::find(failed, spec.name) != failed.end()) {
      failures += (failures.empty() ? "" : "; ") + failure_words(spec, runs);
    }
    if (runs.empty()) unstarted.push_back(spec.name);
    if (spec.ephemeral) continue;
    counted.push_back(spec.name);
    if (std::ranges::find(finished, spec.name) != finished.end()) ++good;
  }
  if (!success) return failures + (unstarted.empty() ? "" : "; " + subject_words(unstarted) + " not started");
  if (counted.empty()) return "there is no process to wait for";
  if (counted.size() == 1 && good == 1) return counted[0] + " succeeded";
  const std::string count = std::to_string(counted.size());
  if (good == counted.size()) return "all " + count + " processes succeeded";
  return std::to_string(good) + " of " + count + " processes succeeded; " + failures;
}

std::string reason_of_finals(const TaskHistory& history, const TaskPlan& task, const Plan& finals) {
  const std::vector<std::string> failed = finals.failed(), finished = finals.finished();
  std::string words;
  for (const ProcessSpec& spec : task.processes) {
    if (!spec.final || spec.ephemeral || std::ranges::find(finished, spec.name) != finished.end()) continue;
    const std::vector<RunHistory>& runs = runs_in(history, spec.name);
    words += "; ";
    if (std::ranges::find(failed, spec.name) != failed.end()) {
      words += failure_words(spec, runs);
    } else {
      words += spec.name + (runs.empty() ? " was not started" : " did not finish");
    }
  }
  return words;
}

}  // namespace dewar
