#include <unistd.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/cli/commands.h"
#include "agent/cli/presenter.h"
#include "agent/cli/run_session.h"
#include "agent/cli/run_view.h"
#include "agent/cli/task_file.h"
#include "agent/cli/work_dir.h"
#include "base/clock.h"
#include "base/files.h"
#include "base/units.h"
#include "thermos/prepare.h"

namespace dewar {
namespace {

struct RunOptions {
  std::string file, work_dir, task_id, user, cgroup, log_quota;
  std::vector<std::string> ports;
  bool keep = false, preserve_environment = false;
  OutputForm form = OutputForm::kTable;
  ColorWish color = ColorWish::kAuto;
};

void say(const std::string& words) { (void)write_all(STDERR_FILENO, words, "standard error"); }

ExitCode refuse(const std::string& words, ExitCode code = ExitCode::kUsage) {
  say("dewar run: " + printable(words) + "\n");
  return code;
}

/// "http:8080" -> {"http", 8080}; whether the task has such a port is for prepare_run() to say.
Result<std::map<std::string, std::int64_t>> parse_ports(const std::vector<std::string>& words) {
  std::map<std::string, std::int64_t> ports;
  for (const std::string& word : words) {
    const std::size_t colon = word.rfind(':');
    std::int64_t number = 0;
    const char* end = word.data() + word.size();
    const bool whole = colon != std::string::npos && colon > 0 &&
                       std::from_chars(word.data() + colon + 1, end, number).ptr == end && colon + 1 < word.size();
    if (!whole) return fail("--port wants NAME:PORT such as http:8080, found '" + word + "'");
    if (!ports.emplace(word.substr(0, colon), number).second) {
      return fail("--port names '" + word.substr(0, colon) + "' twice");
    }
  }
  return ports;
}

/// Tells what is wrong with the file, if anything is.
std::optional<TaskSpec> read_task_file(const std::string& path) {
  auto file = load_task_file(path);
  if (!file) {
    refuse(file.error().message());
    return std::nullopt;
  }
  tell_complaints(*file);
  return std::move(file->reading.spec);
}

/// The folder that the person named, or a new one; the place for a new one is tidied up first.
Result<std::string> choose_work_dir(const RunOptions& options) {
  if (options.work_dir.empty()) {
    collect_work_dirs(kDefaultParent, SystemClock().wall());
    return make_work_dir(kDefaultParent, options.keep);
  }
  const std::string folder = std::filesystem::absolute(options.work_dir).lexically_normal().string();
  DEWAR_TRY(make_dirs(folder));
  if (options.keep) DEWAR_TRY(keep_work_dir(folder));
  return folder;
}

ExitCode follow_to_the_end(const PreparedRun& prepared, const RunOptions& options, const std::string& work_dir) {
  const std::string where = "task " + prepared.spec.task_id + " in " + work_dir + "\n";
  (void)write_all(options.form == OutputForm::kTable ? STDOUT_FILENO : STDERR_FILENO, where, "output");
  const auto presenter = make_presenter(options.form, view_of(prepared.spec), options.color);
  const auto history = RunSession(prepared, *presenter).follow();
  if (!history) return refuse(history.error().message(), ExitCode::kFailed);
  presenter->end(*history);
  return history->state() == TaskState::kSuccess ? ExitCode::kDone : ExitCode::kFailed;
}

ExitCode run_task(const RunOptions& options) {
  RunRequest request;
  if (auto ports = parse_ports(options.ports)) {
    request.ports = std::move(ports).take();
  } else {
    return refuse(ports.error().message());
  }
  if (!options.task_id.empty()) {
    if (auto valid = check_task_id(options.task_id); !valid) return refuse(valid.error().message());
  }
  if (!options.log_quota.empty()) {
    const auto bytes = parse_bytes(options.log_quota);
    if (!bytes) return refuse("--log-quota: " + bytes.error().message());
    request.log_quota = *bytes;
  }
  const auto task = read_task_file(options.file);
  if (!task) return ExitCode::kUsage;
  if (::geteuid() != 0) {
    return refuse("only root can make sandboxes; run it as root, such as with sudo", ExitCode::kNoRights);
  }
  const auto work_dir = choose_work_dir(options);
  if (!work_dir) return refuse(work_dir.error().message());
  request.work_dir = *work_dir;
  request.task_id = !options.task_id.empty() ? options.task_id : default_task_id(task->name, SystemClock().wall());
  request.user = options.user;
  request.cgroup = options.cgroup;
  request.preserve_environment = options.preserve_environment;
  const auto prepared = prepare_run(*task, request);
  if (!prepared) {
    if (options.work_dir.empty()) (void)remove_tree(*work_dir);  // nothing was started that could be read there
    // Another task under this id: the words say it all, "File exists" would only puzzle.
    const Error& error = prepared.error();
    return refuse(error.code == std::errc::file_exists ? error.context : error.message());
  }
  return follow_to_the_end(*prepared, options, *work_dir);
}

/// A word of the list becomes its value.
template <class T>
CLI::Validator one_of(const std::map<std::string, T>& words) {
  return CLI::CheckedTransformer(words).description("");
}

}  // namespace

void add_run(CLI::App& app, ExitCode& exit_code) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* run = app.add_subcommand("run", "Runs a task in a sandbox, shows it, and tells how it ended");
  run->add_option("FILE", options->file, "YAML or JSON; - reads standard input")->required();
  run->add_option("--work-dir", options->work_dir, "where sandbox, logs and records lie; default: new, below /var/tmp")
      ->type_name("DIR");
  run->add_option("--task-id", options->task_id, "default: <name>-YYYYMMDD-HHMMSS.micros")->type_name("ID");
  run->add_option("--user", options->user, "whom the processes run as; default: the task's, else nobody")
      ->type_name("NAME");
  run->add_option("--port", options->ports, "repeatable; ports not given are allotted")
      ->type_name("NAME:PORT")
      ->allow_extra_args(false);
  run->add_option("--cgroup", options->cgroup,
                  "where the task's cgroups go; default: the unit we run in if it is delegated, else the top")
      ->type_name("PATH")
      ->envname("DEWAR_CGROUP");
  run->add_option("--log-quota", options->log_quota,
                  "bytes that the logs of all tasks in the work dir may take, such as 10GB; default: any")
      ->type_name("SIZE")
      ->envname("DEWAR_LOG_QUOTA");
  run->add_flag("--keep", options->keep, "never collect the work folder (a default one goes a day after SUCCESS)");
  run->add_option("-o,--output", options->form,
                  "table (default), json (one object at the end), jsonl (and one per event)")
      ->type_name("FORM")
      ->transform(one_of<OutputForm>(
          {{"table", OutputForm::kTable}, {"json", OutputForm::kJson}, {"jsonl", OutputForm::kJsonLines}}));
  run->add_flag("--preserve-env", options->preserve_environment, "give the processes this command's environment");
  run->add_option("--color", options->color, "auto (default), always, never")
      ->type_name("WHEN")
      ->transform(one_of<ColorWish>(
          {{"auto", ColorWish::kAuto}, {"always", ColorWish::kAlways}, {"never", ColorWish::kNever}}));
  run->footer(
      "The same command again with the same --work-dir and --task-id attaches to the task, recovers it, or tells how "
      "it\n"
      "ended. Ctrl-C kills the task, finalizers included; a second one ends it at once. If this command is killed, "
      "the\n"
      "task goes on.\n"
      "Exit status: 0 SUCCESS; 1 FAILED, KILLED or LOST; 2 wrong usage or invalid file, nothing was started; 4 not "
      "root.");
  run->callback([options, &exit_code] { exit_code = run_task(*options); });
}

}  // namespace dewar
