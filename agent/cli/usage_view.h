// What a run or a task has used, for programs: every number by its name in the table of isolation/usage.h.
#pragma once

#include "base/json_writer.h"
#include "isolation/usage.h"

namespace dewar {

/// Microseconds as seconds; 0 for an unknown number.
double seconds_of(Amount microseconds);

/// Adds a member for each number to the open object: `cpu_user_us` becomes `cpu_user_seconds`, and so on. Unknown ones
/// are null.
void put_usage(JsonWriter& json, const Usage& usage);

}  // namespace dewar
