#pragma once

#include "isolation/launch_info.h"

namespace dewar {

/// For the first process of new PID, mount, IPC and UTS namespaces (and a network's, where the recipe says so): makes a
/// container of them, writes the LaunchReport to `answer`, and is its PID 1 from then on. `heap` is the first thing
/// that this program allocated: PID 1 gives back the pages above it.
[[noreturn]] void launch_container(const ContainerRecipe& recipe, int answer, void* heap);

}  // namespace dewar
