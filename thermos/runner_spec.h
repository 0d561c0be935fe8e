// All that dewar-runner needs for one task, made by whoever starts it (`dewar run`, later the agent): a TaskSpec with
// every template filled in, every name looked up, the filter compiled. Written once as `<run>/runner.spec`; the runner
// therefore needs no YAML, no NSS, no libseccomp and no libcgroup. Byte for byte in docs/formats.md.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "isolation/cgroup/layout.h"
#include "isolation/net/cni.h"
#include "thermos/task_plan.h"

namespace dewar {

struct RunnerSpec {
  std::string task_id;
  std::string task_name;
  TaskPlan plan;
  std::string task_json;  ///< what tasks/active/<task_id> holds: the task in Thermos's JSON, filled in
  std::string source;     ///< the task before ports and ids were filled in: equal means "the same task"
  std::string hostname;
  std::map<std::string, std::int64_t> ports;
  std::vector<std::string> required_ports;
  std::string run_folder;    ///< <work_dir>/slaves/<agent>/frameworks/<fw>/executors/<ex>/runs/<container_id>
  std::string container_id;  ///< also the name of the task's cgroup
  User user;
  bool user_found = true;  ///< false: no such user on this host
  SandboxSpec sandbox;
  std::string seccomp;              ///< compiled filter, see AttemptRecipe
  std::uint64_t capabilities = 0;   ///< keep_capabilities as bits
  std::string image_folder;         ///< what sandbox.root stands for on this host; empty: the host's own root
  std::string shell = "/bin/bash";  ///< runs the command lines
  std::uint32_t first_id = 0;       ///< user namespace: see ContainerRecipe
  CgroupLayout cgroups;
  CniNetwork network;                 ///< of a task whose sandbox has Network::kBridge
  std::string launcher;               ///< absolute path of dewar-launch
  std::string fetcher;                ///< of dewar-fetch; empty: the task fetches nothing
  std::string compressor;             ///< of dewar-compress; empty: no process rotates its logs
  std::uint64_t log_quota = 0;        ///< bytes that the logs of all tasks of the work dir may take; 0: any
  std::string path;                   ///< PATH of the task's processes
  std::optional<HealthCheck> health;  ///< one by HTTP asks ports["health"]
  std::vector<std::string> preserved_environment;  ///< NAME=VALUE; only with --preserve-env
};

template <class Coder>
void code(Coder& c, RunnerSpec& v) {
  c(v.task_id, v.task_name, v.plan, v.task_json, v.source, v.hostname, v.ports, v.required_ports, v.run_folder,
    v.container_id, v.user, v.user_found, v.sandbox, v.seccomp, v.capabilities, v.image_folder, v.shell, v.first_id,
    v.cgroups, v.network, v.launcher, v.fetcher, v.compressor, v.log_quota, v.path, v.health, v.preserved_environment);
}

/// `<run>/fetch/<process>.<what>`: "request" (written before the runner starts) and "status" of a process that fetches.
std::string fetch_file(const std::string& run_folder, const std::string& process, const std::string& what);
/// `<work_dir>/log.used`: what the logs of all tasks of the work dir take; see isolation/log_quota.h.
std::string host_log_counter(const RunnerSpec& spec);
/// What the disk limit is about: the sandbox folder, and the folder of a private layer over the root.
std::vector<std::string> disk_folders(const RunnerSpec& spec);

std::string encode_runner_spec(const RunnerSpec& spec);
/// Errors: EBADMSG, with the words what does not fit.
Result<RunnerSpec> decode_runner_spec(std::string_view bytes);
/// The spec of the task whose run folder this is. Errors name the file: of open(2) and read(2), or EBADMSG.
Result<RunnerSpec> read_runner_spec(const std::string& run_folder);

}  // namespace dewar
