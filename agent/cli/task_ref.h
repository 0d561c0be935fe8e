// How a person names a task on the command line, and where it is found. Whatever shows a task starts from its run
// folder, whether the task lives or has ended, and needs no runner.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/cli/bundle/opened.h"
#include "agent/cli/commands.h"
#include "agent/cli/work_dir.h"
#include "base/result.h"

namespace dewar {

/// As it was typed.
struct TaskWish {
  std::string name;      ///< TASK[/PROCESS[#RUN]]
  std::string work_dir;  ///< empty: every folder that `dewar run` chose below `parent`
  std::string parent = kDefaultParent;
};

struct TaskRef {
  std::string run_folder;  ///< absolute
  std::string task_id;
  std::string process;               ///< empty: the whole task
  std::optional<std::uint32_t> run;  ///< only with a process
  /// The run folder, or the bundle that it was unpacked from.
  const std::string& place() const { return bundle ? bundle->file() : run_folder; }
  /// Of a bundle: what the run folder lies in, which is removed with the last copy of this.
  std::shared_ptr<const OpenedBundle> bundle = {};
};

/// Adds the argument TASK[/PROCESS[#RUN]] and --work-dir (else DEWAR_WORK_DIR). `wish` outlives the command.
void add_task_options(CLI::App& command, TaskWish& wish);

/// Finds what is meant. TASK is a task's id, or a path of a work dir with one task or of a run folder; ids and names of
/// processes may be cut short where that is clear. A name that is there whole wins over those that it begins.
/// Errors, in words that say what there is: an unknown or ambiguous task, process or run; EACCES.
Result<TaskRef> find_task(const TaskWish& wish);

/// Every task there is, by where it lies. Errors: EACCES.
Result<std::vector<TaskRef>> find_all_tasks(const TaskWish& wish);

/// What a command ends with that has not found its task.
ExitCode not_found_code(const Error& error);

/// The processes of a task in the order of its file, as far as its run folder tells; those that only have logs last.
std::vector<std::string> process_names(const std::string& run_folder);

}  // namespace dewar
