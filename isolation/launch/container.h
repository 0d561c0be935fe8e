#pragma once

#include "isolation/launch_info.h"

namespace dewar {

/// Makes a container, writes the LaunchReport to `answer` and returns; PID 1 lives on. `heap` is where this program's
/// heap began when it started: PID 1 gives back what lies above.
void launch_container(const ContainerRecipe& recipe, int answer, void* heap);

}  // namespace dewar
