// What a sandbox's root is made of: the host's programs and libraries read-only and a chosen part of its /etc, or an
// image; in both cases with private folders, the kernel's views and the task's own folders on top.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "isolation/launch_info.h"

namespace dewar {

/// What make_root() must know of the host.
struct HostRoot {
  std::map<std::string, std::string> links;  ///< symlinks in / and /etc: "/bin" -> "usr/bin"
  std::vector<std::string> folders;          ///< folders in /: "/usr"
  std::vector<std::string> etc;              ///< names in /etc
};
HostRoot look_at_host_root();

/// The task's part of the root.
struct RootSpec {
  std::string sandbox_folder;  ///< writable
  std::string log_folder;      ///< read-only
  std::vector<Bind> binds;
  std::vector<Tmpfs> tmpfs;
  std::vector<DeviceRule> devices = {};  ///< beside the usual ones
  bool image = false;                    ///< over an image, not over nothing
  std::uint32_t first_id = 0;            ///< see ContainerRecipe
  std::map<std::string, std::string> cgroups =
      {};  ///< shown read-only: folder below /sys/fs/cgroup ("": itself) -> group
};

/// Every mount, in order. Pure.
std::vector<MountOp> make_root(const HostRoot& host, const RootSpec& task);

/// Whether each mount that the task asks for has, or can be given, a place to lie at. What is shown read-only (folders
/// of the host, binds) must have it already. Looks at the host. Errors: words.
Result<void> check_mount_points(const HostRoot& host, const RootSpec& task);

/// All places where the task may write as far as the mounts allow it: what Landlock then allows, too. Pure.
std::vector<std::string> writable_places(const SandboxSpec& sandbox, const std::string& sandbox_folder);

}  // namespace dewar
