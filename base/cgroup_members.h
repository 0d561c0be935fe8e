// Who lives in a cgroup folder of either version and the folders below it, and how they are signalled and ended. A
// folder that is gone has no members.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace dewar {

/// One pid a line, as in cgroup.procs. Pids of processes outside of our PID namespace (0) are left out.
std::vector<pid_t> parse_pids(std::string_view text);

/// Names of the groups directly below, sorted.
std::vector<std::string> child_groups(const std::string& folder);

/// Processes, as our PID namespace numbers them; in no order.
Result<std::vector<pid_t>> members(const std::string& folder);
Result<bool> has_members(const std::string& folder);

/// Sends `signal` to each member, through a pidfd that was opened while the number stood for a member. Returns how
/// many.
Result<int> signal_members(const std::string& folder, int signal);

/// Kills them all, also those that are being born, and waits until nothing lives. Errors: ETIMEDOUT, with how many are
/// left.
Result<void> kill_members(const std::string& folder, int timeout_ms);

}  // namespace dewar
