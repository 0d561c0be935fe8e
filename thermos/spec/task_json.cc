#include <sys/resource.h>

#include <algorithm>

#include "base/json_writer.h"
#include "thermos/spec/bind.h"

namespace dewar {
namespace {

/// Whole seconds as Thermos's Integer; what a person wrote in finer steps with its fraction.
void write_span(JsonWriter& json, std::string_view key, Duration span) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(span);
  if (seconds == span) {
    json.field(key, std::int64_t{seconds.count()});
  } else {
    json.field(key, std::chrono::duration<double>(span).count());
  }
}

void write_logger(JsonWriter& json, const LogPolicy& policy) {
  constexpr const char* kDestinations[] = {"file", "console", "both", "none"};
  json.key("logger").begin_object();
  json.field("destination", kDestinations[static_cast<int>(policy.destination)]);
  json.field("mode", policy.mode == LogMode::kRotate ? "rotate" : "standard");
  if (policy.mode == LogMode::kRotate) {
    json.key("rotate").begin_object();
    json.field("log_size", policy.log_size).field("backups", policy.backups).end_object();
  }
  json.end_object();
}

void write_process(JsonWriter& json, const ProcessSpec& process) {
  json.begin_object();
  json.field("cmdline", process.cmdline).field("name", process.name).field("max_failures", process.max_failures);
  json.field("daemon", process.daemon).field("ephemeral", process.ephemeral);
  write_span(json, "min_duration", process.min_duration);
  json.field("final", process.final);
  if (process.logger) write_logger(json, *process.logger);
  json.end_object();
}

}  // namespace

std::string task_json(const TaskSpec& spec) {
  JsonWriter json;
  json.begin_object().field("name", spec.name);
  if (!spec.user.empty()) json.field("user", spec.user);
  json.key("processes").begin_array();
  for (const ProcessSpec& process : spec.processes) write_process(json, process);
  json.end_array().key("constraints").begin_array();
  for (const Order& order : spec.constraints) {
    json.begin_object().key("order").begin_array();
    for (const std::string& name : order) json.value(name);
    json.end_array().end_object();
  }
  json.end_array();
  if (spec.resources) {
    json.key("resources").begin_object().field("cpu", spec.resources->cpu).field("ram", spec.resources->ram);
    json.field("disk", spec.resources->disk).field("gpu", spec.resources->gpu).end_object();
  }
  json.field("max_failures", spec.max_failures).field("max_concurrency", spec.max_concurrency);
  write_span(json, "finalization_wait", spec.finalization_wait);
  json.end_object();
  return json.take();
}

}  // namespace dewar
