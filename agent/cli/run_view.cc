#include "agent/cli/run_view.h"

#include <sys/resource.h>

#include "isolation/disk/project_quota.h"
#include "thermos/spec/bind.h"

namespace dewar {
namespace {

std::uint64_t descriptor_limit(const RunnerSpec& spec) {
  for (const Rlimit& limit : spec.sandbox.rlimits)
    if (limit.resource == RLIMIT_NOFILE) return limit.soft;
  return 0;
}

/// As task_json() writes it: within a text the quotation marks would be escaped.
bool asks_resources(const RunnerSpec& spec) { return spec.task_json.find("\"resources\":{") != std::string::npos; }

}  // namespace

RunView view_of(const RunnerSpec& spec) {
  RunView view{.task_id = spec.task_id,
               .name = spec.task_name,
               .sandbox = spec.run_folder + "/sandbox",
               .log_folder = spec.run_folder + "/.logs",
               .ports = spec.ports,
               .limits = spec.sandbox.limits,
               .disk = spec.sandbox.disk,
               .disk_backend = {},
               .asked = asks_resources(spec),
               .descriptors = descriptor_limit(spec),
               .processes = {}};
  if (view.disk.bytes > 0 || view.disk.inodes > 0)
    view.disk_backend = ProjectQuota::find(view.sandbox) ? "project quota" : "counting";
  TaskSpec task;
  task.processes = spec.plan.processes;
  task.constraints = spec.plan.constraints;
  Graph graph = graph_of(task);
  graph.levels.push_back(graph.final);
  for (const auto& level : graph.levels) {
    for (const std::string& name : level) {
      for (const ProcessSpec& process : spec.plan.processes) {
        if (process.name != name) continue;
        const LogDestination logs = process.logger.value_or(spec.plan.logger).destination;
        view.processes.push_back({name, process.final, logs == LogDestination::kFile || logs == LogDestination::kBoth});
      }
    }
  }
  return view;
}

}  // namespace dewar
