#include "agent/cli/report.h"

#include <optional>

#include "agent/cli/events.h"
#include "agent/cli/limits_view.h"
#include "agent/cli/receipt.h"
#include "agent/cli/words.h"
#include "base/json_writer.h"
#include "base/units.h"

namespace dewar {
namespace {

/// The last run of a process that counts: one that has been waiting only was never run.
std::size_t runs_made(const std::vector<RunHistory>& runs) {
  return !runs.empty() && runs.back().state == ProcessState::kWaiting ? runs.size() - 1 : runs.size();
}

std::string log_path(const RunView& view, const std::string& process, std::size_t run, std::string_view stream) {
  return view.log_folder + "/" + process + "/" + std::to_string(run) + "/" + std::string(stream);
}

std::string task_reason(const TaskHistory& history) {
  return history.statuses.empty() ? "" : history.statuses.back().reason.value_or("");
}

void add_failed_run(const RunView& view, const ProcessView& process, const std::vector<RunHistory>& runs,
                    const Paint& paint, std::vector<std::string>& lines) {
  const std::size_t made = runs_made(runs);
  if (made == 0 || runs[made - 1].state == ProcessState::kSuccess) return;
  const RunHistory& run = runs[made - 1];
  std::string line = "  " + paint.tone(tone_of(run.state), sign_and_word(run.state, paint)) + "  " +
                     printable(process.name) + "#" + std::to_string(made - 1);
  if (const std::string reason = why(run); !reason.empty()) line += ": " + printable(reason);
  lines.push_back(line);
  if (!process.logged) return;
  for (const char* stream : {"stdout", "stderr"}) {
    lines.push_back("      " + printable(log_path(view, process.name, made - 1, stream)));
  }
}

// ---- JSON

void text_or_null(JsonWriter& json, std::string_view name, const std::string& text) {
  text.empty() ? json.key(name).null() : json.field(name, text);
}

void time_or_null(JsonWriter& json, std::string_view name, const std::optional<double>& time) {
  time ? json.field(name, format_rfc3339(*time)) : json.key(name).null();
}

template <class T>
void number_or_null(JsonWriter& json, std::string_view name, const std::optional<T>& number) {
  number ? json.field(name, *number) : json.key(name).null();
}

template <class T>
std::optional<T> unless_zero(T number) {
  return number == T{} ? std::nullopt : std::optional<T>(number);
}

void put_run(JsonWriter& json, const RunView& view, const ProcessView& process, std::size_t number,
             const RunHistory& run) {
  json.begin_object().field("run", number).field("state", to_string(run.state));
  number_or_null(json, "return_code", run.return_code);
  number_or_null(json, "pid", run.pid);
  time_or_null(json, "forked", run.fork_time);
  time_or_null(json, "started", run.start_time);
  time_or_null(json, "stopped", run.stop_time);
  for (const char* stream : {"stdout", "stderr"}) {
    text_or_null(json, stream, process.logged ? log_path(view, process.name, number, stream) : "");
  }
  text_or_null(json, "reason", why(run));
  const std::optional<double> begun = run.start_time ? run.start_time : run.fork_time;
  put_receipt(json, run.usage, begun && run.stop_time ? *run.stop_time - *begun : -1);
  put_lived_under(json, run.limits);
  json.end_object();
}

void put_process(JsonWriter& json, const RunView& view, const ProcessView& process, const TaskHistory& history) {
  json.begin_object().field("name", process.name).key("runs").begin_array();
  if (const auto runs = history.processes.find(process.name); runs != history.processes.end()) {
    for (std::size_t i = 0; i < runs_made(runs->second); ++i) put_run(json, view, process, i, runs->second[i]);
  }
  json.end_array().end_object();
}

}  // namespace

std::vector<std::string> summary_lines(const RunView& view, const TaskHistory& history, const Paint& paint) {
  const TaskState state = history.state();
  std::string verdict =
      paint.tone(tone_of(state), sign_and_word(state, paint)) + "  " + paint.tone(Tone::kBold, printable(view.task_id));
  if (const std::string reason = task_reason(history); !reason.empty()) verdict += ": " + printable(reason);
  std::vector<std::string> lines{verdict};
  for (const ProcessView& process : view.processes) {
    const auto runs = history.processes.find(process.name);
    if (runs != history.processes.end()) add_failed_run(view, process, runs->second, paint, lines);
  }
  lines.push_back("  used     " + receipt_text(history.usage, lived_seconds(history, 0)));
  for (const Advice& advice : advice_of(view, history, 0))
    lines.push_back(paint.tone(advice.tight ? Tone::kWarn : Tone::kPlain, "  advice   " + advice.words));
  lines.push_back("  logs     " + printable(view.log_folder));
  lines.push_back("  sandbox  " + printable(view.sandbox));
  return lines;
}

void put_report(JsonWriter& json, const RunView& view, const TaskHistory& history, double now) {
  json.field("task_id", view.task_id).field("name", view.name);
  json.field("state", to_string(history.state()));
  text_or_null(json, "reason", task_reason(history));
  json.field("sandbox", view.sandbox);
  text_or_null(json, "address", history.header && history.header->address ? *history.header->address : "");
  json.key("ports").begin_object();
  for (const auto& [name, port] : view.ports) json.field(name, port);
  json.end_object();
  json.key("states").begin_array();
  for (const TaskRecord& status : history.statuses) {
    json.begin_object().field("state", to_string(status.state));
    json.field("time", format_rfc3339(static_cast<double>(status.timestamp_ms) / 1e3)).end_object();
  }
  json.end_array();
  json.key("events").begin_array();
  for (const EventRecord& event : history.events) {
    json.begin_object().field("time", format_rfc3339(event.time));
    put_event(json, event);
    json.end_object();
  }
  json.end_array();
  put_limits(json, view.limits);
  number_or_null(json, "disk_bytes", unless_zero(view.disk.bytes));
  number_or_null(json, "disk_inodes", unless_zero(view.disk.inodes));
  number_or_null(json, "log_bytes", unless_zero(view.disk.logs));
  text_or_null(json, "disk_backend", view.disk_backend);
  json.end_object();
  put_receipt(json, history.usage, lived_seconds(history, now));
  put_advice(json, advice_of(view, history, now));
  json.key("processes").begin_array();
  for (const ProcessView& process : view.processes) put_process(json, view, process, history);
  json.end_array();
}

std::string report_json(const RunView& view, const TaskHistory& history, bool pretty) {
  JsonWriter json(pretty ? JsonWriter::Style::kPretty : JsonWriter::Style::kCompact);
  json.begin_object();
  put_report(json, view, history, 0);
  return json.end_object().take();
}

}  // namespace dewar
