#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/result.h"
#include "thermos/spec/task_spec.h"

namespace dewar {

/// What is only known when a task starts on a host.
struct Bindings {
  std::string task_id, user, hostname;
  std::uint32_t instance = 0;
  std::map<std::string, std::int64_t> ports;
};

/// `ports` with the static ports and the aliases of the task's portmap added, as Thermos's runner is given them.
std::map<std::string, std::int64_t> resolved_ports(const TaskSpec& spec, std::map<std::string, std::int64_t> ports);

/// Fills in {{thermos.ports[x]}}, {{thermos.task_id}}, {{thermos.user}}, {{mesos.instance}} and {{mesos.hostname}}
/// everywhere. Errors: words that name every reference that has no value.
Result<TaskSpec> bind(const TaskSpec& spec, const Bindings& bindings);

/// The task in Thermos's JSON (what tasks/active/<task_id> holds): stable order, every default of Thermos spelled out.
/// Parts that Thermos does not know follow where they differ from the default; read_task() reads all of it back.
std::string task_json(const TaskSpec& spec);

/// Levels and edges of the graph, for `dewar plan`; the spec must have been read without complaint.
struct Graph {
  std::vector<std::vector<std::string>> levels;            ///< regular processes; each level waits for an earlier one
  std::vector<std::pair<std::string, std::string>> edges;  ///< (before, after), regular and final, without duplicates
  std::vector<std::string> final;                          ///< final processes, in order of their own levels
};
Graph graph_of(const TaskSpec& spec);

}  // namespace dewar
