#pragma once

#include "base/result.h"
#include "isolation/cgroup/layout.h"

namespace dewar {

/// Moves the calling process, which must have one thread, into the group `supervisors` beside the tasks' groups: so a
/// runner and its launchers are under no task's limits, nor under those of the session that started them.
Result<void> join_supervisors(const CgroupLayout& layout);

}  // namespace dewar
