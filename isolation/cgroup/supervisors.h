#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "isolation/cgroup/layout.h"

namespace dewar {

/// The group `supervisors` of cgroup2 beside the tasks' groups, made if need be: a runner that is born in it
/// (CLONE_INTO_CGROUP) need not move, which would wait for an RCU grace period.
Result<UniqueFd> open_supervisors(const CgroupLayout& layout);

/// Moves the calling process, which must have one thread, into the group `supervisors` beside the tasks' groups: so a
/// runner and its launchers are under no task's limits, nor under those of the session that started them.
Result<void> join_supervisors(const CgroupLayout& layout);

/// Asks the kernel to end the calling process, and those it starts, last when the host runs out of memory, and to leave
/// the group `supervisors` 64 MiB. A wish: returns in words what was refused, as happens without CAP_SYS_RESOURCE.
std::string protect_supervisors(const CgroupLayout& layout);

}  // namespace dewar
