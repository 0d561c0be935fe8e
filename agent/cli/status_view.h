// `dewar status`: a task, one of its processes or runs, or all tasks, as text or as one object. Pure.
#pragma once

#include <string>
#include <vector>

#include "agent/cli/paint.h"
#include "agent/cli/task_status.h"

namespace dewar {

/// As of `now` (Unix seconds), a line each, none wider than `width` columns. With a process in `ref` its runs; with a
/// run that run's receipt.
std::vector<std::string> status_lines(const TaskStatus& status, const TaskRef& ref, double now, std::size_t width,
                                      const Paint& paint);

/// A line for each task, the youngest first.
std::vector<std::string> task_list_lines(const std::vector<TaskStatus>& tasks, double now, std::size_t width,
                                         const Paint& paint);

/// README, "Output for programs". `history` is empty or what is shown of it.
std::string status_json(const TaskStatus& status, const TaskRef& ref, double now, bool with_history);
std::string task_list_json(const std::vector<TaskStatus>& tasks, double now);

/// 75 -> "1m15s", 7380 -> "2h03m", 200000 -> "2d07h"; below ten seconds with a digit: "0.4s".
std::string age_text(double seconds);

}  // namespace dewar
