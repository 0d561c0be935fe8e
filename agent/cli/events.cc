#include "agent/cli/events.h"

#include <optional>
#include <sstream>

#include "agent/cli/words.h"
#include "base/units.h"

namespace dewar {
namespace {

/// The run that a process record belongs to.
std::size_t run_of(const ProcessRecord& record, const TaskHistory& history) {
  const auto runs = history.processes.find(record.process);
  return runs == history.processes.end() || runs->second.empty() ? 0 : runs->second.size() - 1;
}

std::optional<double> time_of(const ProcessRecord& record) {
  if (record.stop_time) return record.stop_time;
  return record.start_time ? record.start_time : record.fork_time;
}

std::string line_of(const HeaderRecord& header, const Paint&) {
  std::string line = "task " + printable(header.task_id) + " on " + printable(header.hostname);
  if (!header.user.empty()) line += " as user " + printable(header.user);
  if (header.address) line += ", address " + printable(*header.address);
  for (const auto& [name, port] : header.ports) line += ", port " + printable(name) + " " + std::to_string(port);
  return line;
}

std::string line_of(const EventRecord& record, const Paint& paint) {
  const std::string whose =
      record.process.empty() ? "" : printable(record.process) + "#" + std::to_string(record.run) + " ";
  return whose + paint.tone(Tone::kBold, printable(record.kind)) + ": " + printable(record.words);
}

std::string line_of(const TaskRecord& record, const Paint& paint) {
  std::string line = "task " + paint.tone(tone_of(record.state), to_string(record.state));
  if (record.reason) line += ": " + printable(*record.reason);
  return line;
}

std::string line_of(const ProcessRecord& record, std::size_t run, const RunHistory* known, const Paint& paint) {
  std::string line = printable(record.process) + "#" + std::to_string(run) + " " +
                     paint.tone(tone_of(record.state), to_string(record.state));
  if (record.state == ProcessState::kRunning && record.pid) line += " pid " + std::to_string(*record.pid);
  if (record.return_code) line += " return code " + std::to_string(*record.return_code);
  const std::string reason = known != nullptr ? why(*known) : "";
  return reason.empty() ? line : line + ": " + printable(reason);
}

template <class T>
void optional_field(JsonWriter& json, std::string_view name, const std::optional<T>& content) {
  if (content) json.field(name, *content);
}

}  // namespace

std::string loss_reasons(const std::string& words) {
  std::string reasons, word;
  std::istringstream in(words);
  while (in >> word) {
    const bool amount = (word[0] >= '0' && word[0] <= '9') || word == "B" || (word.size() == 2 && word[1] == 'B');
    if (!amount) reasons += word + " ";
  }
  return reasons;
}

void put_event(JsonWriter& json, const EventRecord& event) {
  json.field("kind", event.kind);
  if (!event.process.empty()) json.field("process", event.process).field("run", event.run);
  json.field("message", event.words);
  if (event.details.empty()) return;
  json.key("details").begin_object();
  for (const auto& [name, value] : event.details) json.field(name, value);
  json.end_object();
}

std::string event_line(const Record& record, const TaskHistory& history, const Paint& paint) {
  const auto stamped = [&](double time, const std::string& words) {
    return paint.tone(Tone::kFaint, clock_time(time, true)) + " " + words;
  };
  if (const auto* header = std::get_if<HeaderRecord>(&record)) {
    return stamped(static_cast<double>(header->launch_time_ms) / 1e3, line_of(*header, paint));
  }
  if (const auto* task = std::get_if<TaskRecord>(&record)) {
    return stamped(static_cast<double>(task->timestamp_ms) / 1e3, line_of(*task, paint));
  }
  if (const auto* event = std::get_if<EventRecord>(&record)) {
    return event->words.empty() ? "" : stamped(event->time, line_of(*event, paint));
  }
  if (const auto* process = std::get_if<ProcessRecord>(&record)) {
    const auto time = time_of(*process);
    if (!time) return {};
    const std::size_t run = run_of(*process, history);
    const auto runs = history.processes.find(process->process);
    const RunHistory* known = runs == history.processes.end() || runs->second.empty() ? nullptr : &runs->second.back();
    return stamped(*time, line_of(*process, run, known, paint));
  }
  return {};
}

std::string event_json(const RunView& view, const Record& record, const TaskHistory& history) {
  JsonWriter json;
  if (const auto* header = std::get_if<HeaderRecord>(&record)) {
    json.begin_object().field("time", format_rfc3339(static_cast<double>(header->launch_time_ms) / 1e3));
    json.field("event", "header").field("task_id", header->task_id).field("name", view.name);
    json.field("sandbox", header->sandbox).field("hostname", header->hostname).field("user", header->user);
    optional_field(json, "address", header->address);
    json.key("ports").begin_object();
    for (const auto& [name, port] : header->ports) json.field(name, port);
    return json.end_object().end_object().take();
  }
  if (const auto* task = std::get_if<TaskRecord>(&record)) {
    json.begin_object().field("time", format_rfc3339(static_cast<double>(task->timestamp_ms) / 1e3));
    json.field("event", "task").field("state", to_string(task->state));
    optional_field(json, "reason", task->reason);
    return json.end_object().take();
  }
  if (const auto* event = std::get_if<EventRecord>(&record)) {
    json.begin_object().field("time", format_rfc3339(event->time)).field("event", "notice");
    put_event(json, *event);
    return json.end_object().take();
  }
  if (const auto* process = std::get_if<ProcessRecord>(&record)) {
    json.begin_object().key("time");
    if (const auto time = time_of(*process)) {
      json.value(format_rfc3339(*time));
    } else {
      json.null();
    }
    json.field("event", "process").field("process", process->process).field("run", run_of(*process, history));
    json.field("state", to_string(process->state));
    optional_field(json, "pid", process->pid);
    optional_field(json, "return_code", process->return_code);
    optional_field(json, "reason", process->reason);
    return json.end_object().take();
  }
  return {};
}

}  // namespace dewar
