// Who lives in a cgroup folder of either version and the folders below it, and how they are signalled and ended. A
// folder that is gone has no members.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"

namespace dewar {

/// Names of the groups directly below, sorted.
std::vector<std::string> child_groups(const std::string& folder);

/// Processes, as our PID namespace numbers them; in no order.
Result<std::vector<pid_t>> members(const std::string& folder);
Result<bool> has_members(const std::string& folder);
/// Processes and threads.
Result<std::int64_t> count_threads(const std::string& folder);

/// Sends `signal` to each member, through a pidfd that was opened while the number stood for a member. Returns how
/// many.
Result<int> signal_members(const std::string& folder, int signal);

/// Kills them all, also those that are being born, and waits until nothing lives. Errors: ETIMEDOUT, with how many are
/// left.
Result<void> kill_members(const std::string& folder, int timeout_ms);

/// Writes a control file of the group in one write(2).
Result<void> write_group_file(const std::string& folder, const std::string& file, const std::string& text);

/// A new cgroup v1 group with the controller cpuset takes nobody before it has processors and memory nodes: gives it
/// its parent's. Does nothing to other groups.
Result<void> inherit_cpuset(const std::string& folder);

/// rmdir(2) of the group and all below it; a group that is busy is tried again for a moment, since the kernel lets go
/// of it shortly after its last process. Errors: EBUSY.
Result<void> remove_group(const std::string& folder);

}  // namespace dewar
