// One record, told as it happens: a line for people, or an object for programs.
#pragma once

#include <string>

#include "agent/cli/paint.h"
#include "agent/cli/run_view.h"
#include "base/json_writer.h"
#include "thermos/history.h"
#include "thermos/records.h"

namespace dewar {

/// "12:03:04.123 fetchService#0 RUNNING pid 4711"; empty for what is no event to a person (samples, WAITING). `history`
/// has the record in it already.
std::string event_line(const Record& record, const TaskHistory& history, const Paint& paint);

/// The same as one line of JSON: {"time", "event": "task" | "process" | "header" | "notice", …}; empty for samples.
/// WAITING is told, with a time of null: its record has none.
std::string event_json(const RunView& view, const Record& record, const TaskHistory& history);

/// Why output was lost, without how much: the same for a loss that has only grown.
std::string loss_reasons(const std::string& words);

/// The fields "kind", "process" and "run" (unless it is the whole task's), "message", and "details" if there are any.
void put_event(JsonWriter& json, const EventRecord& event);

}  // namespace dewar
