// dewar limits: what a running task's limits are, as the kernel says, and their change.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <map>
#include <memory>
#include <optional>

#include "agent/cli/commands.h"
#include "agent/cli/limits_view.h"
#include "agent/cli/paint.h"
#include "agent/cli/task_ref.h"
#include "base/files.h"
#include "base/units.h"
#include "isolation/cgroup/cgroup.h"
#include "isolation/cgroup/disk.h"
#include "thermos/control.h"
#include "thermos/runner_spec.h"

namespace dewar {
namespace {

struct LimitsOptions {
  TaskWish task;
  std::map<std::string, std::string> changes;  ///< name as in thermos/limits_text.h -> as it was typed
  bool json = false;
};

/// What can be changed: the option, the limit's name, and whether it is a size.
struct Changeable {
  const char *option, *name, *help;
  bool size;
};
constexpr Changeable kChangeable[] = {
    {"--cpu", "cpu", "cores: the share when the host is busy", false},
    {"--cpu-quota", "cpu_quota", "cores, never more", false},
    {"--cpuset", "cpuset", "the only cores, like 0-3,8; empty: all", false},
    {"--ram", "memory", "memory; not below what is in use", true},
    {"--memory-soft", "memory_soft", "beyond it the task is slowed", true},
    {"--swap", "swap", "swap on top of ram", true},
    {"--pids", "pids", "processes and threads", false},
    {"--io-weight", "io.weight", "1 to 10000", false},
    {"--read-bps", "io.read_bps", "bytes per second", true},
    {"--write-bps", "io.write_bps", "bytes per second", true},
    {"--read-iops", "io.read_iops", "operations per second", false},
    {"--write-iops", "io.write_iops", "operations per second", false},
};

ExitCode refuse(const std::string& words, ExitCode code) {
  (void)write_all(STDERR_FILENO, "dewar limits: " + printable(words) + "\n", "standard error");
  return code;
}

/// "memory=1073741824 pids=100". Errors: words for a size that is none.
Result<std::string> request_of(const LimitsOptions& options) {
  std::string words;
  for (const Changeable& limit : kChangeable) {
    const auto typed = options.changes.find(limit.name);
    if (typed == options.changes.end()) continue;
    std::string value = typed->second;
    if (limit.size) value = std::to_string(DEWAR_TRY(parse_bytes(value).context(limit.option)));
    if (value.find(' ') != std::string::npos) return fail(std::string(limit.option) + ": '" + value + "' has a space");
    words += (words.empty() ? "" : " ") + std::string(limit.name) + "=" + value;
  }
  return words;
}

Result<void> change(const std::string& run_folder, const LimitsOptions& options, const Limits& now) {
  std::string words = DEWAR_TRY(request_of(options));
  if (words.empty()) return {};
  if (words.find("ps=") != std::string::npos && now.io.device.empty())
    words += " io.device=" + DEWAR_TRY(disk_below(run_folder));
  auto runner = DEWAR_TRY(RunnerClient::connect(run_folder));
  return runner.change_limits(words);
}

ExitCode run_limits(const LimitsOptions& options) {
  if (::geteuid() != 0) return refuse("only root may look at a task's limits and change them", ExitCode::kNoRights);
  const auto task = find_task(options.task);
  if (!task) return refuse(task.error().message(), not_found_code(task.error()));
  if (!task->process.empty())
    return refuse("limits are those of the whole task: leave out the process", ExitCode::kUsage);
  const auto spec = read_runner_spec(task->run_folder);
  if (!spec) return refuse(spec.error().message(), ExitCode::kNotFound);
  const auto group = Cgroup::find(spec->cgroups, spec->container_id);
  if (!group) return refuse("task '" + task->task_id + "' does not run now", ExitCode::kNotFound);
  auto limits = group->limits();
  if (!limits) return refuse(limits.error().message(), ExitCode::kFailed);
  if (auto changed = change(task->run_folder, options, *limits); !changed)
    return refuse(changed.error().message(), ExitCode::kFailed);
  limits = group->limits();
  if (!limits) return refuse(limits.error().message(), ExitCode::kFailed);
  std::string text;
  if (options.json) {
    JsonWriter json(JsonWriter::Style::kPretty);
    json.begin_object().field("task_id", task->task_id);
    put_limits(json, *limits);
    text = json.end_object().end_object().take() + "\n";
  } else {
    for (const std::string& line : limits_lines(*limits)) text += line + "\n";
  }
  return write_all(STDOUT_FILENO, text, "standard output") ? ExitCode::kDone : ExitCode::kFailed;
}

}  // namespace

void add_limits(CLI::App& app, ExitCode& exit_code) {
  auto options = std::make_shared<LimitsOptions>();
  CLI::App* limits =
      app.add_subcommand("limits", "Shows a running task's limits as the kernel has them, or changes them");
  add_task_options(*limits, options->task);
  auto form = std::make_shared<std::string>("table");
  limits->add_option("-o,--output", *form, "table (default), json")
      ->check(CLI::IsMember({"table", "json"}).description(""));
  for (const Changeable& limit : kChangeable) {
    limits
        ->add_option_function<std::string>(
            limit.option, [options, name = limit.name](const std::string& value) { options->changes[name] = value; },
            limit.help)
        ->type_name(limit.size ? "SIZE" : "VALUE");
  }
  limits->footer(
      "0 means no limit. All of a change holds, or none of it; it outlives the task's runner.\n"
      "Exit status: 0 done; 1 refused; 2 wrong usage; 3 no such task, or it does not run now; 4 not root.");
  limits->callback([options, form, &exit_code] {
    options->json = *form == "json";
    exit_code = run_limits(*options);
  });
}

}  // namespace dewar
