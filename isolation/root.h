// What a sandbox's root is made of: the host's programs and libraries read-only, a chosen part of its /etc, and private
// folders.
#pragma once

#include <map>
#include <string>
#include <vector>

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
};

/// Every mount, in order. Pure.
std::vector<MountOp> make_root(const HostRoot& host, const RootSpec& task);

}  // namespace dewar
