#pragma once

#include <string>
#include <vector>

namespace dewar {

/// The processes that still live in a cgroup folder and below, for a person who wonders why they do not die: "dd (pid
/// 12, state D) in fuse_dev_do_read", with what /proc/<pid>/wchan tells. At most `most`.
std::vector<std::string> describe_members(const std::string& folder, std::size_t most = 5);

}  // namespace dewar
