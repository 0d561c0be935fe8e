#pragma once

namespace CLI {
class App;
}

namespace dewar {

inline constexpr const char* kVersion = "dewar 0.1.0";

/// What a command ends with (docs/architecture.md, "Exit codes").
enum class ExitCode : int {
  kDone = 0,
  kFailed = 1,
  kUsage = 2,
  kNotFound = 3,
  kNoRights = 4,
  kUnreachable = 5,
  kTimedOut = 6,
  kConflict = 7
};

// Each adds its subcommand to `app`; when that is chosen, its callback does the work and sets `exit_code`.
void add_validate(CLI::App& app, ExitCode& exit_code);
void add_plan(CLI::App& app, ExitCode& exit_code);
void add_checkpoint(CLI::App& app, ExitCode& exit_code);
void add_explain(CLI::App& app, ExitCode& exit_code);
void add_limits(CLI::App& app, ExitCode& exit_code);
void add_run(CLI::App& app, ExitCode& exit_code);
void add_logs(CLI::App& app, ExitCode& exit_code);
void add_fetch(CLI::App& app, ExitCode& exit_code);
void add_cache(CLI::App& app, ExitCode& exit_code);
void add_bundle(CLI::App& app, ExitCode& exit_code);
void add_status(CLI::App& app, ExitCode& exit_code);
void add_doctor(CLI::App& app, ExitCode& exit_code);

}  // namespace dewar
