// From a task file's content to a run folder that dewar-runner can be started on: what needs name services, libcgroup,
// libseccomp or free ports is done here, once, by whoever starts the task.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/result.h"
#include "thermos/control.h"
#include "thermos/runner_spec.h"

namespace dewar {

/// Who asks, and for what.
struct RunRequest {
  std::string work_dir;                       ///< absolute
  std::string task_id;                        ///< [A-Za-z0-9_.-]+, see check_task_id()
  std::string user;                           ///< overrides the task's; empty: the task's, else "nobody"
  std::map<std::string, std::int64_t> ports;  ///< given ones; the others are allotted
  bool preserve_environment = false;
  std::uint32_t instance = 0;
  std::uint64_t log_quota = 0;  ///< bytes that the logs of all tasks of the work dir may take; 0: any
  std::string cgroup = {};      ///< the subtree for the task's cgroups, see isolation/cgroup/host.h; empty: it is found
};

struct PreparedRun {
  RunnerSpec spec;
  bool existed = false;  ///< an earlier run with this id was found, with the same task
};

/// [A-Za-z0-9_.-]+, at most 200 bytes, no leading dot or dash. Errors: words.
Result<void> check_task_id(const std::string& task_id);

/// "<name>-YYYYMMDD-HHMMSS.micros", as Thermos names tasks; characters outside the alphabet become '-'.
std::string default_task_id(const std::string& task_name, double unix_seconds);

/// The run folder of a task in a work dir: the one that `latest` names. Errors: ENOENT if there is none.
Result<std::string> find_run_folder(const std::string& work_dir, const std::string& task_id);

/// Finds the task's run folder or makes a new one with its runner.spec; starts nothing. Errors: EEXIST when another
/// task was run under this id; words for an unknown user, a port that is taken or not the task's, a host without
/// cgroups. Needs root.
Result<PreparedRun> prepare_run(const TaskSpec& task, const RunRequest& request);

struct StartedRunner {
  pid_t pid = -1;
  RunnerClient client;  ///< served once the runner holds the task; closed if it never does
};

/// Starts dewar-runner on a run folder, in a session and a cgroup2 group of its own, its stdout and stderr appended to
/// files of these names in the run folder. It is the caller's child. `kill`: it takes the task over only to kill it.
Result<StartedRunner> start_runner(const RunnerSpec& spec, bool kill = false);

}  // namespace dewar
