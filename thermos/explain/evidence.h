// All that an explanation is made of, as values: whoever has a run folder or a bundle gathers it, tests make it up.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "isolation/attempt_status.h"
#include "isolation/sandbox_spec.h"
#include "thermos/history.h"
#include "thermos/task_plan.h"

namespace dewar {

struct MemoryPoint {
  double time = 0;  ///< Unix seconds
  std::uint64_t bytes = 0;
  friend bool operator==(const MemoryPoint&, const MemoryPoint&) = default;
};

struct RunEvidence {
  std::optional<AttemptStatus> status;
  std::string stderr_tail;          ///< the last lines, as the task wrote them
  std::vector<MemoryPoint> memory;  ///< of the last minute that is known
};

struct Evidence {
  std::string task_id, path;  ///< path: PATH of the task's processes
  TaskPlan plan;
  SandboxSpec sandbox;
  Limits limits;        ///< as the kernel had them last
  TaskHistory history;  ///< events included
  std::map<std::pair<std::string, int>, RunEvidence> runs;
  std::vector<MemoryPoint> memory;  ///< of the whole task
  bool runner_lives = true;
  std::string boot_id;  ///< of now; empty where it does not matter (a bundle)
  double now = 0;       ///< Unix seconds
};

}  // namespace dewar
