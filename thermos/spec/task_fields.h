// Which fields a task file has, and what they mean: a table per struct (docs/task-file.md is its prose).
#pragma once

#include <string>
#include <vector>

#include "thermos/spec/fields.h"
#include "thermos/spec/task_spec.h"

namespace dewar {

/// A task with the places that the checks of its whole will complain about.
struct TaskDraft : TaskSpec {
  Place place;
  std::vector<Artifact> artifacts;  ///< of the task: become a process in front of all others
  Place artifacts_place;
  bool has_processes = false;                    ///< some stand there, good or bad
  std::vector<Place> process_places;             ///< of each process's name
  std::vector<std::vector<Place>> order_places;  ///< of each name in each order
};

constexpr std::uint64_t kDefaultPids = 4096;  ///< processes and threads of a task that names no limit

/// Reads the root of a file: a task as people write it, an Aurora job, an old MesosTaskInstance, or a bare task object.
void read_root(Reading& reading, const Node& root, TaskDraft& task);

// The parts that have a file of their own.
void read_sandbox(Reading& reading, const Node& node, SandboxSpec& out);
void read_health_check(Reading& reading, const Node& node, TaskDraft& out);
void read_lifecycle(Reading& reading, const Node& node, TaskDraft& out);
void read_announce(Reading& reading, const Node& node, TaskDraft& out);
/// One artifact, as a URI or a map, or a list of them.
void read_artifacts(Reading& reading, const Node& node, std::vector<Artifact>& out);
/// "nofile" for RLIMIT_NOFILE.
std::string_view rlimit_name(int resource);
/// Complains if `name` is no name for a port.
bool is_port_name(Reading& reading, const Node& node, const std::string& name);

}  // namespace dewar
