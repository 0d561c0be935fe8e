#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "agent/cli/commands.h"
#include "agent/cli/plan_view.h"
#include "agent/cli/task_file.h"
#include "base/files.h"

namespace dewar {
namespace {

ExitCode plan(const std::string& path, const std::string& form) {
  const auto file = load_task_file(path);
  if (!file) {
    std::fprintf(stderr, "dewar plan: %s\n", printable(file.error().message()).c_str());
    return ExitCode::kUsage;
  }
  tell_complaints(*file);
  if (!file->reading.spec) return ExitCode::kUsage;
  const TaskSpec& spec = *file->reading.spec;
  const std::string out = form == "dot" ? plan_as_dot(spec)
                          : form == "json"
                              ? plan_as_json(spec)
                              : draw_plan(spec, choose_paint(ColorWish::kAuto, ::isatty(STDOUT_FILENO) != 0, ::getenv));
  return write_all(STDOUT_FILENO, out, "standard output") ? ExitCode::kDone : ExitCode::kFailed;
}

}  // namespace

void add_plan(CLI::App& app, ExitCode& exit_code) {
  auto path = std::make_shared<std::string>();
  auto form = std::make_shared<std::string>("text");
  CLI::App* command = app.add_subcommand("plan", "Draws the graph of a task's processes");
  command->add_option("FILE", *path, "YAML or JSON; - reads standard input")->required();
  command->add_option("-o,--output", *form, "text, dot (for Graphviz) or json")
      ->check(CLI::IsMember({"text", "dot", "json"}));
  command->callback([path, form, &exit_code] { exit_code = plan(*path, *form); });
}

}  // namespace dewar
