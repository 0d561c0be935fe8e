// One record, told as it happens: a line for people, or an object for programs.
#pragma once

#include <string>

#include "agent/cli/paint.h"
#include "agent/cli/run_view.h"
#include "thermos/history.h"
#include "thermos/records.h"

namespace dewar {

/// "12:03:04.123 fetchService#0 RUNNING pid 4711"; empty for what is no event (samples). `history` has the record in it
/// already; `now` is the time of records that carry none.
std::string event_line(const Record& record, const TaskHistory& history, double now, const Paint& paint);

/// The same as one line of JSON: {"time", "event": "task" | "process" | "header", …}; empty for samples.
std::string event_json(const RunView& view, const Record& record, const TaskHistory& history, double now);

}  // namespace dewar
