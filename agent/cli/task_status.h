// Everything that `dewar status` shows of one task, read from its run folder: the task may live, have ended, or lie in
// another host's folder.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "agent/cli/run_view.h"
#include "agent/cli/task_ref.h"
#include "thermos/advice.h"
#include "thermos/health.h"
#include "thermos/history.h"
#include "thermos/usage_ring.h"

namespace dewar {

struct TaskStatus {
  std::string run_folder;
  RunView view;         ///< its limits are those in force now
  TaskHistory history;  ///< with what living runs have used by now
  bool runner_lives = false;
  double begun = 0, ended = 0;  ///< Unix seconds; `ended` is 0 while it goes on
  Usage usage;                  ///< of the whole task
  UsageHistory task_usage;
  std::map<std::pair<std::string, int>, UsageHistory> run_usage;  ///< of the last run of each process
  std::vector<Advice> advice;
  std::optional<HealthRecord> health;  ///< of a task that is, or was, asked

  double lived(double now) const { return (ended > 0 ? ended : now) - begun; }
};

/// As of `now` (Unix seconds), with the last `span` of history. Errors: there is no task that can be read.
Result<TaskStatus> read_status(const TaskRef& ref, Duration span, double now);

}  // namespace dewar
