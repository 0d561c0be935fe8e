#pragma once

#include <string>
#include <vector>

namespace dewar {

/// The processes that still live in a cgroup folder and below, for a person who wonders why they do not die: "dd (pid
/// 12, state D) in request_wait_answer [request_wait_answer < fuse_lookup_name < …]", with what /proc/<pid>/wchan and,
/// where the kernel shows it (to CAP_SYS_ADMIN), /proc/<pid>/stack tell. At most `most`.
std::vector<std::string> describe_members(const std::string& folder, std::size_t most = 5);

}  // namespace dewar
