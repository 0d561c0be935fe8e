// Where cgroup hierarchies are mounted and which group of each a process is in, as the kernel tells it. Pure: text in,
// values out; a line that makes no sense is left out.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace dewar {

/// A line of /proc/self/mountinfo (proc(5)) whose type is cgroup or cgroup2.
struct CgroupMount {
  std::string folder;                ///< where it is mounted
  std::string root;                  ///< which group of the hierarchy is shown there; "/" but in containers
  bool v2 = false;                   ///< cgroup2
  std::vector<std::string> options;  ///< of the file system: v1's controllers are among them, and "name=systemd"
};
std::vector<CgroupMount> parse_cgroup_mounts(std::string_view mountinfo);

/// /proc/self/cgroup (cgroups(7)): v1 controller, or "name=systemd", or "" for cgroup2 -> the group's path.
std::map<std::string, std::string> parse_own_groups(std::string_view cgroup);

/// `path` of a hierarchy as seen below its mount: "/a/b" below a mount of "/a" is "/b"; the mount's own root is "".
/// Empty as well for a group that is not below that mount, which nobody can reach there.
std::string path_below(const CgroupMount& mount, const std::string& path);

}  // namespace dewar
