// What a run or a task has cost: its numbers, under which limits, and what these should have been.
#pragma once

#include <string>
#include <vector>

#include "agent/cli/run_view.h"
#include "base/json_writer.h"
#include "thermos/advice.h"
#include "thermos/history.h"

namespace dewar {

/// From the first state to the last one, or to `now` (Unix seconds) while the task goes on.
double lived_seconds(const TaskHistory& history, double now);

/// For the whole task: by the limits in its last record, or else by those of `view`.
std::vector<Advice> advice_of(const RunView& view, const TaskHistory& history, double now);

/// "0.20 s of processors in 0:07, at most 11.0 MB of memory, …": what is known and not nothing.
std::string receipt_text(const Usage& usage, double wall_seconds);

/// The member "usage", with "wall_seconds" (null for a negative one) before all numbers.
void put_receipt(JsonWriter& json, const Usage& usage, double wall_seconds);
/// The member "limits" from limits_text(); null for an empty one.
void put_lived_under(JsonWriter& json, const std::string& limits);
void put_advice(JsonWriter& json, const std::vector<Advice>& advice);

}  // namespace dewar
