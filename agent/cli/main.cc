#include <CLI/CLI.hpp>

#include "agent/cli/commands.h"

int main(int argc, char** argv) {
  CLI::App app("Runs tasks - graphs of named processes - in sandboxes, and tells how they ended.", "dewar");
  app.require_subcommand(1);
  app.set_version_flag("--version", "dewar 0.1.0");
  dewar::ExitCode exit_code = dewar::ExitCode::kDone;
  dewar::add_validate(app, exit_code);
  dewar::add_plan(app, exit_code);
  dewar::add_checkpoint(app, exit_code);
  dewar::add_run(app, exit_code);
  dewar::add_logs(app, exit_code);
  dewar::add_limits(app, exit_code);
  dewar::add_fetch(app, exit_code);
  dewar::add_cache(app, exit_code);
  dewar::add_doctor(app, exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(dewar::ExitCode::kUsage);
  }
  return static_cast<int>(exit_code);
}
