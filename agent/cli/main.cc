#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <string_view>

#include "agent/cli/commands.h"

namespace {

struct Command {
  std::string_view name;
  void (*add)(CLI::App& app, dewar::ExitCode& exit_code);
};

constexpr Command kCommands[] = {
    {"validate", dewar::add_validate}, {"plan", dewar::add_plan},     {"checkpoint", dewar::add_checkpoint},
    {"run", dewar::add_run},           {"logs", dewar::add_logs},     {"explain", dewar::add_explain},
    {"bundle", dewar::add_bundle},     {"status", dewar::add_status}, {"limits", dewar::add_limits},
    {"fetch", dewar::add_fetch},       {"cache", dewar::add_cache},   {"doctor", dewar::add_doctor},
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Runs tasks - graphs of named processes - in sandboxes, and tells how they ended.", "dewar");
  app.require_subcommand(1);
  app.set_version_flag("--version", dewar::kVersion);
  dewar::ExitCode exit_code = dewar::ExitCode::kDone;
  // All of them, which takes longer than to read a task file, are made only for whoever names none.
  const std::string_view first = argc > 1 ? argv[1] : "";
  const auto* named = std::ranges::find(kCommands, first, &Command::name);
  for (const Command& command : kCommands) {
    const bool wanted = named == std::end(kCommands) ? first != "--version" : &command == named;
    if (wanted) command.add(app, exit_code);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(dewar::ExitCode::kUsage);
  }
  std::fflush(nullptr);
  ::_exit(static_cast<int>(exit_code));  // what we hold the kernel takes back at once
}
