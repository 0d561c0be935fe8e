#pragma once

#include "isolation/launch_info.h"

namespace dewar {

/// Makes a container, writes the LaunchReport to `answer` and returns; PID 1 lives on. `heap` is the first thing that
/// this program allocated: PID 1 gives back the pages above it.
void launch_container(const ContainerRecipe& recipe, int answer, void* heap);

}  // namespace dewar
