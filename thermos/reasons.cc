#include "thermos/reasons.h"

#include <string.h>  // sigabbrev_np is not in <cstring>

#include <algorithm>
#include <csignal>
#include <vector>

namespace dewar {
namespace {

constexpr std::size_t kNamesTold = 3;

std::string signal_name(int signal) {
  const char* name = ::sigabbrev_np(signal);
  return name ? "SIG" + std::string(name) : "signal " + std::to_string(signal);
}

std::string exit_words(int status) {
  std::string words = "exit status " + std::to_string(status);
  if (status == 127) return words + ": command not found";
  // What a shell makes of a command that a signal ended.
  if (status > 128 && status < 128 + NSIG) return words + " (from a shell: " + signal_name(status - 128) + ")";
  return words;
}

std::string code_words(int code) {
  return code >= 0 ? exit_words(code) : "killed by " + signal_name(-code) + " (" + std::to_string(-code) + ")";
}

/// "a, b, c and 2 more were"
std::string subject(const std::vector<std::string>& names) {
  std::string out;
  for (std::size_t i = 0; i < std::min(names.size(), kNamesTold); ++i) {
    const bool last = i + 1 == names.size();
    out += (i == 0 ? "" : last ? " and " : ", ") + names[i];
  }
  if (names.size() > kNamesTold) out += " and " + std::to_string(names.size() - kNamesTold) + " more";
  return out + (names.size() == 1 ? " was" : " were");
}

const std::vector<RunHistory>& runs_of(const TaskHistory& history, const std::string& process) {
  static const std::vector<RunHistory> kNone;
  const auto found = history.processes.find(process);
  return found == history.processes.end() ? kNone : found->second;
}

/// "fetch failed 3 of 3 times: exit status 22"
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

}  // namespace

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
    const std::vector<RunHistory>& runs = runs_of(history, spec.name);
    if (std::ranges::find(failed, spec.name) != failed.end()) {
      failures += (failures.empty() ? "" : "; ") + failure_words(spec, runs);
    }
    if (runs.empty()) unstarted.push_back(spec.name);
    if (spec.ephemeral) continue;
    counted.push_back(spec.name);
    if (std::ranges::find(finished, spec.name) != finished.end()) ++good;
  }
  if (!success) return failures + (unstarted.empty() ? "" : "; " + subject(unstarted) + " not started");
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
    const std::vector<RunHistory>& runs = runs_of(history, spec.name);
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
