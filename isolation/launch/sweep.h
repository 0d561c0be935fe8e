#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace dewar {

/// The processes in a cgroup of either version, as our own PID namespace numbers them; none if the group is gone.
std::vector<pid_t> processes_in(const std::string& folder);

/// Kills everything in a cgroup of either version and waits until nothing is left there. `found` is how many processes
/// there were at first. False if some are still there after `timeout_ms` (stuck in the kernel). A group that is gone is
/// empty.
bool sweep_cgroup(const std::string& folder, int timeout_ms, std::uint32_t& found);

}  // namespace dewar
