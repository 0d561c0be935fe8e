#pragma once

#include "base/unique_fd.h"
#include "isolation/launch_info.h"

namespace dewar {

/// The parent half of an attempt: starts the child half in the container whose PID 1 is `container`, moves its output,
/// waits, kills what it leaves behind, and writes each stage down. `pipe` is where the recipe came from; it is closed
/// here. Returns this program's exit status: 0 if the status file tells the story, 1 if there is none.
int stay_with_attempt(AttemptRecipe recipe, UniqueFd pipe, UniqueFd container);

}  // namespace dewar
