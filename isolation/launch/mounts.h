// The container's file system, built by its PID 1 in its own mount namespace.
#pragma once

#include "isolation/launch/report.h"
#include "isolation/launch_info.h"

namespace dewar {

/// Mounts what the root is made of on `recipe.root`, carries out `recipe.mounts` beneath it in order, makes it this
/// process's root and lets the host's file systems go. A tmpfs that is to be read-only becomes so after the last mount,
/// so that others can lie on it. `user_namespace`: a descriptor of the container's, or -1.
void build_root(const ContainerRecipe& recipe, int user_namespace, const Reporter& report);

}  // namespace dewar
