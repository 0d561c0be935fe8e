#pragma once

#include "isolation/launch_info.h"

namespace dewar {

/// Descriptors that the attempt's child takes over.
struct AttemptFds {
  int report;    ///< write end of the pipe for its Reporter; above 4
  int out, err;  ///< become 1 and 2; -1: /dev/null of the container
};

/// The child half of an attempt: joins cgroups and namespaces, gives up every right that the recipe does not keep, and
/// executes argv. Finds the pidfd of the container's PID 1 at descriptor 4, where it came with the recipe. 0 to 2 are
/// all it leaves open.
[[noreturn]] void become_attempt(const AttemptRecipe& recipe, const AttemptFds& fds);

}  // namespace dewar
