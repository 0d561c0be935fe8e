#include "agent/cli/task_ref.h"

#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <filesystem>

#include "base/files.h"
#include "thermos/checkpoint.h"
#include "thermos/prepare.h"

namespace dewar {
namespace {

constexpr std::size_t kMostNames = 12;  // in one message

bool is_folder(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

bool is_file(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

bool is_run_folder(const std::string& path) { return is_folder(path + "/checkpoints"); }

std::string list_of(std::vector<std::string> names, const std::string& last = " and ") {
  const std::size_t more = names.size() > kMostNames ? names.size() - kMostNames : 0;
  names.resize(names.size() - more);
  if (more > 0) names.push_back(std::to_string(more) + " more");
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i) text += (i == 0 ? "" : i + 1 == names.size() ? last : ", ") + names[i];
  return text;
}

/// The one of `names` that is meant by `text`: itself, or else the only one that begins with it. Otherwise all that
/// may be meant.
std::vector<std::string> meant_by(const std::string& text, const std::vector<std::string>& names) {
  if (std::ranges::find(names, text) != names.end()) return {text};
  std::vector<std::string> found;
  for (const std::string& name : names)
    if (name.starts_with(text)) found.push_back(name);
  return found;
}

struct Found {
  std::string task_id, work_dir;
};

std::vector<std::string> tasks_in(const std::string& work_dir) {
  std::vector<std::string> ids;
  const auto names = list_dir(work_dir + "/slaves/local/frameworks/local/executors");
  if (!names) return ids;
  for (const std::string& id : *names)
    if (find_run_folder(work_dir, id)) ids.push_back(id);
  return ids;
}

Result<std::vector<std::string>> work_dirs(const TaskWish& wish) {
  if (!wish.work_dir.empty()) {
    DEWAR_TRY(list_dir(wish.work_dir).context("look for tasks"));
    return std::vector<std::string>{std::filesystem::absolute(wish.work_dir).lexically_normal().string()};
  }
  std::vector<std::string> folders;
  bool denied = false;
  for (const std::string& name : DEWAR_TRY(list_dir(wish.parent))) {
    const std::string folder = wish.parent + "/" + name;
    if (!name.starts_with("dewar-") || !is_folder(folder)) continue;
    if (const auto readable = list_dir(folder)) {
      folders.push_back(folder);
    } else if (readable.error().code == std::errc::permission_denied) {
      denied = true;
    }
  }
  if (folders.empty() && denied) return fail(std::errc::permission_denied, "look for tasks below " + wish.parent);
  return folders;
}

/// TASK and PROCESS[#RUN] of a name that is cut at `slash`.
struct Parts {
  std::string task, process;
};
Parts split(const std::string& name, std::size_t slash) {
  if (slash == std::string::npos) return {name, {}};
  return {name.substr(0, slash), name.substr(slash + 1)};
}

Result<std::uint32_t> parse_run(const std::string& text) {
  std::uint32_t run = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), run);
  if (error != std::errc() || stop != text.data() + text.size())
    return fail("'#" + text + "': behind '#' comes the number of a run, as in web/serve#0");
  return run;
}

Result<void> check_run(const TaskRef& ref) {
  if (is_folder(ref.run_folder + "/.logs/" + ref.process + "/" + std::to_string(*ref.run))) return {};
  const auto history = read_history(ref.run_folder + "/checkpoints", ref.task_id);
  std::size_t count = 0;
  if (history && history->processes.contains(ref.process)) count = history->processes.at(ref.process).size();
  if (*ref.run < count) return {};
  return fail("process '" + ref.process + "' of task '" + ref.task_id + "' has no run " + std::to_string(*ref.run) +
              (count == 0   ? "; it has not run"
               : count == 1 ? "; its only run is 0"
                            : "; its runs are 0 to " + std::to_string(count - 1)));
}

Result<TaskRef> with_process(TaskRef ref, const std::string& text) {
  if (text.empty()) return ref;
  const std::vector<std::string> names = process_names(ref.run_folder);
  const bool whole = std::ranges::find(names, text) != names.end();  // a name may have a '#' in it
  const std::size_t hash = whole ? std::string::npos : text.rfind('#');
  const std::string name = text.substr(0, hash);
  const std::vector<std::string> found = meant_by(name, names);
  if (found.empty())
    return fail("task '" + ref.task_id + "' has no process '" + name + "'" +
                (names.empty() ? "" : "; it has " + list_of(names)));
  if (found.size() > 1)
    return fail("'" + name + "' may be one of several processes of task '" + ref.task_id +
                "': " + list_of(found, " or "));
  ref.process = found[0];
  if (hash == std::string::npos) return ref;
  ref.run = DEWAR_TRY(parse_run(text.substr(hash + 1)));
  DEWAR_TRY(check_run(ref));
  return ref;
}

Result<TaskRef> in_run_folder(const std::string& folder) {
  TaskRef ref{.run_folder = std::filesystem::canonical(folder).string(), .task_id = {}, .process = {}, .run = {}};
  for (const char* stage : {"active", "finished"}) {
    const auto ids = list_dir(ref.run_folder + "/checkpoints/tasks/" + stage);
    if (ids && !ids->empty()) ref.task_id = ids->front();
  }
  if (ref.task_id.empty()) return fail(folder + " has no record of a task");
  return ref;
}

Result<TaskRef> in_bundle(const std::string& path) {
  auto bundle = std::make_shared<const OpenedBundle>(DEWAR_TRY(OpenedBundle::open(path)));
  TaskRef ref = DEWAR_TRY(in_run_folder(bundle->run_folder()));
  ref.bundle = std::move(bundle);
  return ref;
}

/// TASK is a path: of a run folder, of a work dir, or of a bundle.
Result<TaskRef> at_path(const std::string& path) {
  if (is_file(path)) return in_bundle(path);
  if (is_run_folder(path)) return in_run_folder(path);
  DEWAR_TRY(list_dir(path).context("look for a task"));
  const std::vector<std::string> ids = tasks_in(path);
  if (ids.empty()) return fail(path + " is neither a run folder nor a work dir with a task");
  if (ids.size() > 1)
    return fail(path + " has several tasks; name one, with --work-dir " + path + ": " + list_of(ids, " or "));
  return in_run_folder(DEWAR_TRY(find_run_folder(path, ids[0])));
}

Result<TaskRef> find_by_path(const std::string& name) {
  if (is_folder(name) || is_file(name)) return at_path(name);
  const Parts parts = split(name, name.rfind('/'));
  return with_process(DEWAR_TRY(at_path(parts.task.empty() ? "/" : parts.task)), parts.process);
}

Result<TaskRef> find_by_id(const Parts& parts, const TaskWish& wish) {
  std::vector<Found> tasks;
  std::vector<std::string> ids;
  for (const std::string& work_dir : DEWAR_TRY(work_dirs(wish))) {
    for (std::string& id : tasks_in(work_dir)) {
      if (std::ranges::find(ids, id) == ids.end()) ids.push_back(id);
      tasks.push_back({std::move(id), work_dir});
    }
  }
  const std::string where =
      wish.work_dir.empty() ? "below " + wish.parent + " (else name --work-dir)" : "in " + wish.work_dir;
  if (ids.empty()) return fail("there is no task " + where);
  std::ranges::sort(ids);
  const std::vector<std::string> found = meant_by(parts.task, ids);
  if (found.empty()) return fail("there is no task '" + parts.task + "' " + where + "; there is " + list_of(ids));
  if (found.size() > 1) return fail("'" + parts.task + "' may be one of several tasks: " + list_of(found, " or "));
  std::erase_if(tasks, [&](const Found& task) { return task.task_id != found[0]; });
  if (tasks.size() > 1) {
    std::vector<std::string> folders;
    for (const Found& task : tasks) folders.push_back(task.work_dir);
    return fail("task '" + found[0] + "' is in several work dirs; name one by --work-dir: " + list_of(folders, " or "));
  }
  TaskRef ref{.run_folder = DEWAR_TRY(find_run_folder(tasks[0].work_dir, found[0])),
              .task_id = found[0],
              .process = {},
              .run = {}};
  return with_process(std::move(ref), parts.process);
}

}  // namespace

void add_task_options(CLI::App& command, TaskWish& wish) {
  command
      .add_option("TASK", wish.name,
                  "a task's id or a beginning of it, a work dir, run folder or bundle; TASK[/PROCESS[#RUN]]")
      ->required()
      ->type_name("");
  command
      .add_option("--work-dir", wish.work_dir, "that of dewar run; by default all that it has chosen below /var/tmp")
      ->envname("DEWAR_WORK_DIR")
      ->type_name("DIR");
}

Result<TaskRef> find_task(const TaskWish& wish) {
  const std::string& name = wish.name;
  if (name.empty()) return fail("a task without a name");
  const bool is_path =
      name.front() == '/' || name == "." || name == ".." || name.starts_with("./") || name.starts_with("../");
  if (is_path) return find_by_path(name);
  auto found = find_by_id(split(name, name.find('/')), wish);
  const bool there = is_folder(name) || is_file(name) || is_file(split(name, name.rfind('/')).task);
  return found || !there ? std::move(found) : find_by_path(name);
}

Result<std::vector<TaskRef>> find_all_tasks(const TaskWish& wish) {
  std::vector<TaskRef> refs;
  for (const std::string& work_dir : DEWAR_TRY(work_dirs(wish))) {
    for (std::string& id : tasks_in(work_dir)) {
      auto folder = find_run_folder(work_dir, id);
      if (folder) refs.push_back({std::move(folder).take(), std::move(id), {}, {}});
    }
  }
  return refs;
}

ExitCode not_found_code(const Error& error) {
  return error.code == std::errc::permission_denied ? ExitCode::kNoRights : ExitCode::kNotFound;
}

std::vector<std::string> process_names(const std::string& run_folder) {
  std::vector<std::string> names;
  const auto add = [&](const std::string& name) {
    if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  };
  if (const auto spec = read_runner_spec(run_folder))
    for (const auto& process : spec->plan.processes) add(process.name);
  if (const auto logs = list_dir(run_folder + "/.logs"))
    for (const std::string& name : *logs) add(name);
  return names;
}

}  // namespace dewar
