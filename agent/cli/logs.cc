// dewar logs: what a task's processes have written, from its run folder; it may live or have ended.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>

#include "agent/cli/commands.h"
#include "agent/cli/logs_view.h"
#include "agent/cli/moment.h"
#include "agent/cli/task_ref.h"
#include "base/files.h"
#include "thermos/checkpoint.h"
#include "thermos/logs/log_reader.h"

namespace dewar {
namespace {

constexpr std::size_t kFlushBytes = 64u << 10;
constexpr std::uint64_t kFollowLines = 10;

struct LogsOptions {
  TaskWish task;
  bool follow = false, ignore_case = false, all_runs = false, merge = true, raw = false, json = false, cursors = false;
  std::string since, until, text, regex, stream, prefix = "auto", cursor;
  LogView::Times times = LogView::Times::kNone;
  ColorWish color = ColorWish::kAuto;
  std::optional<std::uint64_t> last;
  std::size_t context = 0;
};

void say(const std::string& words) {
  (void)write_all(STDERR_FILENO, "dewar logs: " + printable(words) + "\n", "standard error");
}

ExitCode refuse(const Error& error, ExitCode code) {
  say(error.message());
  return code;
}

Result<LogQuery> query_of(const LogsOptions& options, const TaskRef& task) {
  const std::int64_t now =
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  LogQuery query;
  query.process = task.process;
  query.run = task.run;
  query.all_runs = options.all_runs;
  query.out = options.stream != "stderr";
  query.err = options.stream != "stdout";
  query.order = process_names(task.run_folder);
  query.merge = options.merge;
  query.context = options.context;
  query.follow = options.follow;
  query.last = options.last;
  if (!options.text.empty()) query.filter = LineFilter::containing(options.text, options.ignore_case);
  if (!options.regex.empty()) query.filter = DEWAR_TRY(LineFilter::matching(options.regex, options.ignore_case));
  if (!options.since.empty()) query.since = DEWAR_TRY(parse_moment(options.since, now).context("--since"));
  if (!options.until.empty()) query.until = DEWAR_TRY(parse_moment(options.until, now).context("--until"));
  if (!options.cursor.empty()) query.cursors = DEWAR_TRY(parse_cursors(options.cursor).context("--cursor"));
  const bool begins = query.since || query.last || !query.cursors.empty();
  if (query.follow && !begins) query.last = kFollowLines;
  return query;
}

/// When the first run of the task began.
std::int64_t origin_of(const TaskRef& task) {
  const auto history = read_history(task.run_folder + "/checkpoints", task.task_id);
  return history && !history->statuses.empty() ? history->statuses.front().timestamp_ms * 1'000'000 : 0;
}

LogView view_of(const LogsOptions& options, const TaskRef& task, const LogReader& reader) {
  const bool terminal = ::isatty(STDOUT_FILENO) != 0;
  const std::vector<std::string> names = reader.processes();
  LogView::Look look;
  look.times = options.times;
  look.origin = origin_of(task);
  look.prefix = options.prefix == "always" || (options.prefix == "auto" && task.process.empty() && !options.raw);
  look.runs = options.all_runs;
  look.raw = options.raw;
  look.ends = !options.raw && (terminal || options.follow);
  look.paint = choose_paint(options.color, terminal, [](const char* name) { return std::getenv(name); });
  return LogView(look, names);
}

ExitCode run_logs(const LogsOptions& options) {
  if (options.raw && ::isatty(STDOUT_FILENO) != 0) {
    say("--raw writes what the task wrote as it is, which may steer your terminal: send it to a file or a program");
    return ExitCode::kUsage;
  }
  const auto task = find_task(options.task);
  if (!task) return refuse(task.error(), not_found_code(task.error()));
  auto query = query_of(options, *task);
  if (!query) return refuse(query.error(), ExitCode::kUsage);
  const auto opened = LogReader::open(task->run_folder, task->task_id, *std::move(query));
  if (!opened) return refuse(opened.error(), not_found_code(opened.error()));
  LogReader& reader = **opened;
  LogView view = view_of(options, *task, reader);
  std::string out;
  const auto flush = [&] {
    const bool written = out.empty() || write_all(STDOUT_FILENO, out, "standard output");
    out.clear();
    return written;
  };
  for (;;) {
    while (const LogItem* item = reader.next()) {
      if (options.raw && item->kind == LogItem::Kind::kGap) {
        say(view.words_of_gap(*item));  // it is no byte of the task's
      } else if (options.json) {
        out += log_json(*item);
      } else {
        view.show(out, *item);
      }
      if (out.size() > kFlushBytes && !flush()) return ExitCode::kFailed;
    }
    if (!flush()) return ExitCode::kFailed;
    if (reader.done()) break;
    reader.wait();
  }
  if (reader.processes().empty()) say("there are no logs of " + options.task.name);
  if (!options.json) out = view.finish();
  if (!flush()) return ExitCode::kFailed;
  if (options.cursors) (void)write_all(STDERR_FILENO, "cursor: " + reader.cursor() + "\n", "standard error");
  return ExitCode::kDone;
}

void add_filters(CLI::App& command, LogsOptions& options) {
  command.add_option("--since", options.since, "lines from then on: 10m (ago), 14:05, 2026-01-02 14:05, RFC 3339")
      ->type_name("TIME");
  command.add_option("--until", options.until, "lines up to then")->type_name("TIME");
  CLI::Option* const text =
      command.add_option("--grep", options.text, "lines that have this text in them")->type_name("TEXT");
  command.add_option("--regex", options.regex, "lines that this expression matches, in RE2's syntax")
      ->type_name("PATTERN")
      ->excludes(text);
  command.add_flag("-i,--ignore-case", options.ignore_case, "for --grep and --regex");
  command.add_option("-C,--context", options.context, "and so many lines around each of them")
      ->type_name("LINES")
      ->check(CLI::Range(std::size_t{0}, LogReader::kMaxContext).description(""));
  command.add_option("-n,--tail", options.last, "the last so many of these lines; with -f 10 if nothing else is said")
      ->type_name("LINES");
  command.add_option("--cursor", options.cursor, "goes on behind this cursor, as -o json and --show-cursor tell it")
      ->type_name("CURSOR");
  command.add_option("--stream", options.stream, "stdout or stderr; default: both, in the order they were written")
      ->type_name("STREAM")
      ->check(CLI::IsMember({"stdout", "stderr"}).description(""));
}

void add_looks(CLI::App& command, LogsOptions& options) {
  using Times = LogView::Times;
  command.add_flag("--merge,!--no-merge", options.merge, "processes mixed by time (default), or one after the other");
  command.add_option("--prefix", options.prefix, "auto (default: where there may be several processes), always, never")
      ->type_name("WHEN")
      ->check(CLI::IsMember({"auto", "always", "never"}).description(""));
  const std::map<std::string, Times> times{
      {"none", Times::kNone}, {"absolute", Times::kAbsolute}, {"relative", Times::kRelative}, {"delta", Times::kDelta}};
  command
      .add_option("--timestamps", options.times,
                  "absolute (local time), relative (to the task's start), delta (to the line before), none (default)")
      ->type_name("FORM")
      ->transform(CLI::CheckedTransformer(times).description(""));
  command.add_flag_callback(
      "-t", [&options] { options.times = Times::kAbsolute; }, "the same as --timestamps absolute");
  auto json = [&options](const std::string& form) { options.json = form == "json"; };
  command.add_option_function<std::string>("-o,--output", json, "text (default), json (an object a line)")
      ->type_name("FORM")
      ->check(CLI::IsMember({"text", "json"}).description(""));
  command.add_flag("--raw", options.raw, "the bytes as they are; otherwise controls are shown as \\x1b. No terminal");
  command.add_flag("--show-cursor", options.cursors, "tells at the end, on standard error, where --cursor goes on");
  const std::map<std::string, ColorWish> wishes{
      {"auto", ColorWish::kAuto}, {"always", ColorWish::kAlways}, {"never", ColorWish::kNever}};
  command.add_option("--color", options.color, "auto (default), always, never")
      ->type_name("WHEN")
      ->transform(CLI::CheckedTransformer(wishes).description(""));
}

}  // namespace

void add_logs(CLI::App& app, ExitCode& exit_code) {
  auto options = std::make_shared<LogsOptions>();
  CLI::App* logs = app.add_subcommand("logs", "Shows what a task's processes have written, while it runs and after");
  add_task_options(*logs, options->task);
  logs->add_flag("-f,--follow", options->follow, "goes on until the task (or the run that is named) has ended");
  logs->add_flag("--all-runs", options->all_runs, "every run of each process; otherwise the latest");
  add_filters(*logs, *options);
  add_looks(*logs, *options);
  logs->footer(
      "Without a PROCESS the lines of all come by time, each behind its process's name; │ is stdout, ┃ is stderr.\n"
      "What is missing is told: -- 1.2 MB dropped: rate limit --\n"
      "Exit status: 0 done; 1 standard output is closed; 2 wrong usage; 3 no such task, process or run; 4 no rights.");
  logs->callback([options, &exit_code] { exit_code = run_logs(*options); });
}

}  // namespace dewar
