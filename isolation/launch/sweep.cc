#include "isolation/launch/sweep.h"

#include "base/cgroup_members.h"

namespace dewar {

std::vector<pid_t> processes_in(const std::string& folder) {
  auto listed = members(folder);
  return listed ? std::move(listed).take() : std::vector<pid_t>{};
}

bool sweep_cgroup(const std::string& folder, int timeout_ms, std::uint32_t& found) {
  found = static_cast<std::uint32_t>(processes_in(folder).size());
  return static_cast<bool>(kill_members(folder, timeout_ms));
}

}  // namespace dewar
