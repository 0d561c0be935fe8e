// dewar explain: why a task or a run of a process ended, or what it waits for.
#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>

#include "agent/cli/commands.h"
#include "agent/cli/explain_view.h"
#include "agent/cli/task_ref.h"
#include "base/files.h"
#include "thermos/explain/gather.h"

namespace dewar {
namespace {

constexpr std::size_t kUsualWidth = 80;

struct ExplainOptions {
  TaskWish task;
  bool json = false;
  ColorWish color = ColorWish::kAuto;
};

ExitCode refuse(const Error& error) {
  (void)write_all(STDERR_FILENO, "dewar explain: " + printable(error.message()) + "\n", "standard error");
  return not_found_code(error);
}

std::size_t width_of_output() {
  winsize size{};
  const bool terminal = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
  return terminal ? std::min<std::size_t>(size.ws_col, 120) : kUsualWidth;
}

ExitCode explain(const ExplainOptions& options) {
  const auto task = find_task(options.task);
  if (!task) return refuse(task.error());
  const auto evidence = gather_evidence(task->run_folder);
  if (!evidence) return refuse(evidence.error());
  std::optional<int> run;
  if (task->run) run = static_cast<int>(*task->run);
  const Explanation told =
      task->process.empty() ? explain_task(*evidence) : explain_process(*evidence, task->process, run);
  std::string text;
  if (options.json) {
    text = explanation_json(told) + "\n";
  } else {
    const Paint paint = choose_paint(options.color, ::isatty(STDOUT_FILENO) == 1, ::getenv);
    for (const std::string& line : explanation_lines(told, width_of_output(), paint)) text += line + "\n";
  }
  return write_all(STDOUT_FILENO, text, "standard output") ? ExitCode::kDone : ExitCode::kFailed;
}

}  // namespace

void add_explain(CLI::App& app, ExitCode& exit_code) {
  auto options = std::make_shared<ExplainOptions>();
  auto form = std::make_shared<std::string>("text");
  CLI::App* command = app.add_subcommand("explain", "Tells why a task or a run ended, or what it waits for");
  add_task_options(*command, options->task);
  command->add_option("-o,--output", *form, "text (default), json")
      ->check(CLI::IsMember({"text", "json"}).description(""));
  command->add_option("--color", options->color, "auto (default), always, never")
      ->type_name("WHEN")
      ->transform(CLI::CheckedTransformer(std::map<std::string, ColorWish>{{"auto", ColorWish::kAuto},
                                                                           {"always", ColorWish::kAlways},
                                                                           {"never", ColorWish::kNever}})
                      .description(""));
  command->footer(
      "The first line is the whole story in one sentence; the evidence follows.\n"
      "Exit status: 0 it was told, however the task ended; 2 wrong usage; 3 no such task, process or run; 4 no "
      "rights.");
  command->callback([options, form, &exit_code] {
    options->json = *form == "json";
    exit_code = explain(*options);
  });
}

}  // namespace dewar
