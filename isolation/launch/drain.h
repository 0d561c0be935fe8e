#pragma once

#include "isolation/launch_info.h"

namespace dewar {

/// Goes on for a launcher that was killed; its attempt has ended with it. Returns this program's exit status: 0 if what
/// was left is in the log, 1 if nothing could be done.
int drain_for_dead(const DrainRecipe& recipe);

}  // namespace dewar
