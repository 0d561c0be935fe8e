// The container's file system, built by its PID 1 in its own mount namespace.
#pragma once

#include <string>
#include <vector>

#include "isolation/launch/report.h"
#include "isolation/launch_info.h"

namespace dewar {

/// Mounts a tmpfs on `root`, carries out `mounts` beneath it in order, makes it this process's root and lets the host's
/// file systems go. A tmpfs that is to be read-only becomes so after the last mount, so that others can lie on it.
void build_root(const std::string& root, const std::vector<MountOp>& mounts, const Reporter& report);

}  // namespace dewar
