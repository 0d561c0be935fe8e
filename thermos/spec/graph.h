// The graph of a task's processes, by their index in TaskSpec::processes.
#pragma once

#include <cstddef>
#include <vector>

#include "thermos/spec/task_spec.h"

namespace dewar {

struct Edge {
  std::size_t before = 0, after = 0;
  std::size_t order = 0, position = 0;  ///< constraints[order][position] is `after`
};

/// The edges between processes that exist, each once, in the order of the file.
std::vector<Edge> edges_of(const TaskSpec& spec);

/// The level of each process: 0 without a predecessor, else one more than its highest predecessor. -1: in a cycle, or
/// behind one.
std::vector<int> levels_of(std::size_t processes, const std::vector<Edge>& edges);

/// Cycles that share no process, each as the processes along it from its lowest index; at most `limit`.
std::vector<std::vector<std::size_t>> cycles_of(std::size_t processes, std::vector<Edge> edges, std::size_t limit);

}  // namespace dewar
