// The words, signs and tones for what happens to tasks and runs.
#pragma once

#include <string>

#include "agent/cli/paint.h"
#include "thermos/history.h"

namespace dewar {

/// "✔ SUCCESS", or "+ SUCCESS" where signs are ASCII.
std::string sign_and_word(ProcessState state, const Paint& paint);
std::string sign_and_word(TaskState state, const Paint& paint);
Tone tone_of(ProcessState state);
Tone tone_of(TaskState state);

/// Why a run ended, for a person: the recorded reason, else what its code says ("exit status 3", "killed by SIGTERM").
/// Empty for a run that succeeded or still goes on.
std::string why(const RunHistory& run);

/// Unix seconds -> "12:03:04" or, with `digits`, "12:03:04.123", in local time.
std::string clock_time(double unix_seconds, bool digits = false);

}  // namespace dewar
