#include "agent/cli/task_status.h"

#include "agent/cli/receipt.h"
#include "base/files.h"
#include "base/process.h"
#include "thermos/checkpoint.h"
#include "thermos/events.h"
#include "thermos/limits_text.h"
#include "thermos/runner_spec.h"

namespace dewar {
namespace {

/// The runner that wrote last is there, as far as its number and its name tell.
bool runner_lives(const TaskHistory& history) {
  if (history.statuses.empty() || history.terminal()) return false;
  const TaskRecord& last = history.statuses.back();
  const auto boot = boot_id();
  if (!boot || last.boot_id != *boot) return false;
  const auto name = read_file("/proc/" + std::to_string(last.runner_pid) + "/comm");
  return name && *name == "dewar-runner\n";
}

/// What a history knows at its end.
void take_latest(const std::string& file, UsageHistory& history, Duration span) {
  if (auto read = read_usage_history(file, span)) history = std::move(read).take();
}

void read_runs(TaskStatus& status, Duration span) {
  for (auto& [name, runs] : status.history.processes) {
    if (runs.empty()) continue;
    int last = static_cast<int>(runs.size()) - 1;
    if (runs.back().state == ProcessState::kWaiting && last > 0) --last;
    UsageHistory& history = status.run_usage[{name, last}];
    take_latest(usage_file(status.run_folder, name, last), history, span);
    RunHistory& run = runs[static_cast<std::size_t>(last)];
    if (!is_terminal(run.state) && !history.points.empty()) run.usage = history.points.back().usage;
  }
}

}  // namespace

Result<TaskStatus> read_status(const TaskRef& ref, Duration span, double now) {
  TaskStatus status;
  status.run_folder = ref.run_folder;
  const RunnerSpec spec = DEWAR_TRY(read_runner_spec(ref.run_folder));
  status.view = view_of(spec);
  status.view.sandbox = ref.run_folder + "/sandbox";
  status.view.log_folder = ref.run_folder + "/.logs";
  status.history = DEWAR_TRY(read_history(ref.run_folder + "/checkpoints", ref.task_id));
  for (EventRecord& event : read_events(ref.run_folder)) (void)!status.history.apply(std::move(event));
  status.runner_lives = runner_lives(status.history);
  if (auto limits = read_limits(ref.run_folder)) status.view.limits = std::move(limits).take();

  const auto& statuses = status.history.statuses;
  if (!statuses.empty()) status.begun = static_cast<double>(statuses.front().timestamp_ms) / 1e3;
  if (status.history.terminal()) status.ended = static_cast<double>(statuses.back().timestamp_ms) / 1e3;
  take_latest(usage_file(ref.run_folder), status.task_usage, span);
  if (!status.history.terminal() && !status.task_usage.points.empty())
    status.history.usage = status.task_usage.points.back().usage;
  status.usage = status.history.usage;
  read_runs(status, span);
  if (auto health = read_health(ref.run_folder)) status.health = std::move(health).take();
  status.advice = advice_of(status.view, status.history, now);
  return status;
}

}  // namespace dewar
