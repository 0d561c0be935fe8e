// Where on this host our cgroups go. They stay inside one subtree of each hierarchy: the one that a service manager has
// delegated to us, or one that was named, or else a group of our own at the top; nothing outside it is changed.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "isolation/cgroup/layout.h"

namespace dewar {

enum class Subtree : std::uint8_t {
  kTop,        ///< the top of the hierarchies
  kDelegated,  ///< the group that we run in: systemd's Delegate=yes
  kNamed,      ///< somebody said so
};

/// The hierarchies as this process finds them. A controller that our subtree does not offer is not in it.
struct HostCgroups {
  Subtree subtree = Subtree::kTop;
  std::string path;             ///< of the subtree, the same in every hierarchy: "/system.slice/x.service"; "": the top
  std::string unified;          ///< the subtree's folder in cgroup2; "": there is no cgroup2
  std::vector<std::string> v2;  ///< controllers that it offers there
  std::map<std::string, std::string> v1;      ///< controller -> the subtree's folder
  std::map<std::string, std::string> mounts;  ///< v1 controller -> where its hierarchy is mounted
};

/// The leaf into which the processes of a delegated cgroup2 group move, ourselves among them: the group that gives its
/// controllers to others must hold none itself ("no internal processes", cgroups(7)).
constexpr const char* kCallersGroup = "callers";

/// Looks, and changes nothing. `below` names the subtree by its path in the hierarchies ("/tasks") or by a folder
/// ("/sys/fs/cgroup/tasks"); "/" is the top; empty: the group we run in if it is delegated, else the top. Errors: words
/// for a subtree that is not there, libcgroup's when it finds nothing. Call before any thread starts: libcgroup keeps
/// global state.
Result<HostCgroups> look_at_host_cgroups(const std::string& below = "");

/// Makes our own group `name` in the subtree of each hierarchy (v1: through libcgroup), with the controllers switched
/// on below it. May be repeated. Errors name what this host, or the subtree, lacks.
Result<CgroupLayout> prepare_host_cgroups(const HostCgroups& host, const std::string& name);

/// Both, one after the other.
Result<CgroupLayout> prepare_host_cgroups(const std::string& name, const std::string& below = "");

}  // namespace dewar
