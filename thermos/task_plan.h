#pragma once

#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "isolation/launch_info.h"
#include "thermos/spec/task_spec.h"

namespace dewar {

/// What plan, task machine and records need of a task.
struct TaskPlan {
  std::vector<ProcessSpec> processes;  ///< every template filled in
  std::vector<Order> constraints;
  std::uint32_t max_failures = 1, max_concurrency = 0;
  Duration finalization_wait{};
  Duration time_limit{};  ///< of the whole task; 0: none
  LogPolicy logger;
};

template <class Coder>
void code(Coder& c, TaskPlan& v) {
  c(v.processes, v.constraints, v.max_failures, v.max_concurrency, v.finalization_wait, v.time_limit, v.logger);
}

}  // namespace dewar
