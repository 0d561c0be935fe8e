// What `dewar status -o json` prints.
#include "agent/cli/receipt.h"
#include "agent/cli/report.h"
#include "agent/cli/status_view.h"
#include "agent/cli/usage_view.h"
#include "base/units.h"

namespace dewar {
namespace {

void put_extreme(JsonWriter& json, std::string_view name, Amount amount) {
  amount ? json.field(name, *amount) : json.key(name).null();
}

void put_history(JsonWriter& json, const UsageHistory& history) {
  json.key("history").begin_object().field("seconds", history.seconds).key("points").begin_array();
  for (const UsagePoint& point : history.points) {
    json.begin_object().field("time", format_rfc3339(point.time)).field("samples", point.samples);
    put_usage(json, point.usage);
    if (history.seconds > 1) {
      put_extreme(json, "memory_min_bytes", point.memory_min);
      put_extreme(json, "memory_max_bytes", point.memory_max);
      put_extreme(json, "working_set_min_bytes", point.working_set_min);
      put_extreme(json, "working_set_max_bytes", point.working_set_max);
      put_extreme(json, "pids_min", point.pids_min);
      put_extreme(json, "pids_max", point.pids_max);
    }
    json.end_object();
  }
  json.end_array().end_object();
}

void put_health(JsonWriter& json, const HealthRecord& health) {
  const HealthState& state = health.state;
  json.begin_object().field("state", to_string(state.health)).field("checks", state.checks);
  json.field("successes", state.successes).field("failed", state.failed).key("last").begin_array();
  for (const CheckOutcome& one : health.last) {
    json.begin_object().field("time", format_rfc3339(one.time)).field("passed", one.passed);
    json.field("seconds", std::chrono::duration<double>(one.took).count()).field("words", one.words).end_object();
  }
  json.end_array().end_object();
}

}  // namespace

std::string status_json(const TaskStatus& status, const TaskRef& ref, double now, bool with_history) {
  JsonWriter json(JsonWriter::Style::kPretty);
  json.begin_object();
  put_report(json, status.view, status.history, now);
  json.field("run_folder", ref.place()).field("runner_lives", status.runner_lives);
  json.key("health");
  status.health ? put_health(json, *status.health) : void(json.null());
  if (with_history && ref.process.empty()) put_history(json, status.task_usage);
  if (with_history && !ref.process.empty()) {
    json.field("process", ref.process);
    for (const auto& [key, history] : status.run_usage) {
      if (key.first != ref.process || (ref.run && static_cast<std::uint32_t>(key.second) != *ref.run)) continue;
      json.field("run", key.second);
      put_history(json, history);
    }
  }
  return json.end_object().take();
}

std::string task_list_json(const std::vector<TaskStatus>& tasks, double now) {
  JsonWriter json(JsonWriter::Style::kPretty);
  json.begin_array();
  for (const TaskStatus& task : tasks) {
    json.begin_object().field("task_id", task.view.task_id).field("name", task.view.name);
    json.field("state", to_string(task.history.state())).field("runner_lives", task.runner_lives);
    json.field("begun", format_rfc3339(task.begun));
    task.ended > 0 ? json.field("ended", format_rfc3339(task.ended)) : json.key("ended").null();
    put_receipt(json, task.usage, task.lived(now));
    json.field("run_folder", task.run_folder).end_object();
  }
  return json.end_array().take();
}

}  // namespace dewar
