// What `dewar plan` prints of a task's graph.
#pragma once

#include <string>

#include "agent/cli/paint.h"
#include "thermos/spec/bind.h"

namespace dewar {

/// Levels from the top down, each process with its marks and what it waits for; the final processes below.
std::string draw_plan(const TaskSpec& spec, const Paint& paint);

/// A digraph for Graphviz's dot: daemons doubly framed, ephemeral processes dashed, final ones in a frame of their own.
std::string plan_as_dot(const TaskSpec& spec);

/// {"levels": [[names]], "edges": [[from, to]], "final": [names]}
std::string plan_as_json(const TaskSpec& spec);

}  // namespace dewar
