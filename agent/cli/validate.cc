#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "agent/cli/commands.h"
#include "agent/cli/paint.h"
#include "agent/cli/task_file.h"
#include "base/files.h"
#include "base/json_writer.h"

namespace dewar {
namespace {

std::string as_json(const TaskFile& file) {
  JsonWriter json(JsonWriter::Style::kPretty);
  json.begin_object().field("file", file.name).field("ok", file.reading.spec.has_value());
  if (const auto& spec = file.reading.spec) {
    json.field("name", spec->name).field("processes", spec->processes.size()).key("ports").begin_array();
    for (const std::string& port : spec->ports) json.value(port);
    json.end_array();
  }
  json.key("complaints").begin_array();
  for (const Complaint& complaint : file.reading.complaints) {
    json.begin_object().field("line", complaint.line).field("column", complaint.column);
    json.field("severity", complaint.warning ? "warning" : "error").field("message", complaint.message).end_object();
  }
  json.end_array().end_object();
  return json.take() + "\n";
}

/// "web.yaml: ok, 3 processes, 1 final, ports http and health"
std::string in_words(const TaskFile& file, const Paint& paint) {
  const TaskSpec& spec = *file.reading.spec;
  const std::size_t count = spec.processes.size();
  std::string words = printable(file.name) + ": " + paint.tone(Tone::kGood, "ok") + ", " + std::to_string(count) +
                      (count == 1 ? " process" : " processes");
  std::size_t finals = 0;
  for (const ProcessSpec& process : spec.processes) finals += process.final ? 1 : 0;
  if (finals > 0) words += ", " + std::to_string(finals) + " final";
  for (std::size_t i = 0; i < spec.ports.size(); ++i) {
    words += (i > 0 ? ", " : spec.ports.size() == 1 ? ", port " : ", ports ") + spec.ports[i];
  }
  return words + "\n";
}

ExitCode validate(const std::string& path, bool json) {
  const auto file = load_task_file(path);
  if (!file) {
    std::fprintf(stderr, "dewar validate: %s\n", printable(file.error().message()).c_str());
    return ExitCode::kUsage;
  }
  const bool ok = file->reading.spec.has_value();
  std::string out;
  if (json) {
    out = as_json(*file);
  } else {
    tell_complaints(*file);
    if (ok) out = in_words(*file, choose_paint(ColorWish::kAuto, ::isatty(STDOUT_FILENO) != 0, ::getenv));
  }
  if (const auto written = write_all(STDOUT_FILENO, out, "standard output"); !written) return ExitCode::kFailed;
  return ok ? ExitCode::kDone : ExitCode::kUsage;
}

}  // namespace

void add_validate(CLI::App& app, ExitCode& exit_code) {
  auto path = std::make_shared<std::string>();
  auto form = std::make_shared<std::string>("text");
  CLI::App* command = app.add_subcommand("validate", "Checks a task file and tells everything that is wrong with it");
  command->add_option("FILE", *path, "YAML or JSON; - reads standard input")->required();
  command->add_option("-o,--output", *form, "text or json")->check(CLI::IsMember({"text", "json"}));
  command->callback([path, form, &exit_code] { exit_code = validate(*path, *form == "json"); });
}

}  // namespace dewar
