// dewar status: how a task stands, or how it ended; or all tasks.
#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <memory>

#include "agent/cli/commands.h"
#include "agent/cli/status_view.h"
#include "base/clock.h"
#include "base/files.h"
#include "base/units.h"

namespace dewar {
namespace {

constexpr Duration kUsualHistory = std::chrono::minutes(10);
constexpr std::size_t kUsualWidth = 80;

struct StatusOptions {
  TaskWish wish;
  std::string history, color = "auto";
  bool json = false;
};

ExitCode refuse(const std::string& words, ExitCode code) {
  (void)write_all(STDERR_FILENO, "dewar status: " + printable(words) + "\n", "standard error");
  return code;
}

std::size_t terminal_width() {
  winsize size{};
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kUsualWidth;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

Result<std::string> show_all(const StatusOptions& options, double now, const Paint& paint) {
  std::vector<TaskStatus> tasks;
  for (const TaskRef& ref : DEWAR_TRY(find_all_tasks(options.wish))) {
    // A task that is being made or removed just now, or is damaged, does not hide the others.
    if (auto status = read_status(ref, kUsualHistory, now)) tasks.push_back(std::move(status).take());
  }
  std::ranges::stable_sort(tasks, std::ranges::greater{}, &TaskStatus::begun);
  if (options.json) return task_list_json(tasks, now) + "\n";
  return joined(task_list_lines(tasks, now, terminal_width(), paint));
}

Result<std::string> show_one(const StatusOptions& options, Duration span, double now, const Paint& paint) {
  const TaskRef ref = DEWAR_TRY(find_task(options.wish));
  const TaskStatus status = DEWAR_TRY(read_status(ref, span, now));
  if (options.json) return status_json(status, ref, now, !options.history.empty()) + "\n";
  return joined(status_lines(status, ref, now, terminal_width(), paint));
}

ExitCode run_status(const StatusOptions& options) {
  Duration span = kUsualHistory;
  if (!options.history.empty()) {
    const auto wished = parse_duration(options.history);
    if (!wished) return refuse("--history: " + wished.error().message(), ExitCode::kUsage);
    span = *wished;
  }
  const ColorWish wish = options.color == "always"  ? ColorWish::kAlways
                         : options.color == "never" ? ColorWish::kNever
                                                    : ColorWish::kAuto;
  const Paint paint = choose_paint(wish, ::isatty(STDOUT_FILENO) == 1, ::getenv);
  const double now = SystemClock().wall();
  auto text = options.wish.name.empty() ? show_all(options, now, paint) : show_one(options, span, now, paint);
  if (!text) return refuse(text.error().message(), not_found_code(text.error()));
  return write_all(STDOUT_FILENO, *text, "standard output") ? ExitCode::kDone : ExitCode::kFailed;
}

}  // namespace

void add_status(CLI::App& app, ExitCode& exit_code) {
  auto options = std::make_shared<StatusOptions>();
  CLI::App* status =
      app.add_subcommand("status", "Shows how a task stands or how it ended, what it used, and all tasks");
  add_task_options(*status, options->wish);
  status->get_option("TASK")->required(false);
  auto form = std::make_shared<std::string>("table");
  status->add_option("-o,--output", *form, "table (default), json")
      ->check(CLI::IsMember({"table", "json"}).description(""));
  status->add_option("--history", options->history, "how far back, like 10m, 6h or 7d; in JSON the points too")
      ->type_name("SPAN");
  status->add_option("--color", options->color, "auto (default), always, never")
      ->check(CLI::IsMember({"auto", "always", "never"}).description(""));
  status->footer(
      "Reads files only: the task may have ended. With a process it shows all its runs, with a run its receipt;\n"
      "without TASK all tasks.\n"
      "Exit status: 0 done; 2 wrong usage; 3 no such task; 4 no rights.");
  status->callback([options, form, &exit_code] {
    options->json = *form == "json";
    exit_code = run_status(*options);
  });
}

}  // namespace dewar
