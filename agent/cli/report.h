// How a task ended: in words, or as one object.
#pragma once

#include <string>
#include <vector>

#include "agent/cli/paint.h"
#include "agent/cli/run_view.h"
#include "base/json_writer.h"
#include "thermos/history.h"

namespace dewar {

/// The verdict and its reason, the logs of what went wrong, and the totals; a line each, without newlines.
std::vector<std::string> summary_lines(const RunView& view, const TaskHistory& history, const Paint& paint);

/// Its members, of a task that may still go on at `now` (Unix seconds), into an object that is open.
void put_report(JsonWriter& json, const RunView& view, const TaskHistory& history, double now);

/// The object that `dewar run -o json` prints (README, "Output for programs"), on one line or indented, without a
/// newline at its end. What is unknown is null.
std::string report_json(const RunView& view, const TaskHistory& history, bool pretty);

}  // namespace dewar
