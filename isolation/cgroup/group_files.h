// Control files of a cgroup folder of either version, and its end.
#pragma once

#include <string>

#include "base/result.h"

namespace dewar {

/// Writes a control file of the group in one write(2).
Result<void> write_group_file(const std::string& folder, const std::string& file, const std::string& text);

/// A new cgroup v1 group with the controller cpuset takes nobody before it has processors and memory nodes: gives it
/// its parent's. Does nothing to other groups.
Result<void> inherit_cpuset(const std::string& folder);

/// rmdir(2) of the group and all below it; a group that is busy is tried again for a moment, since the kernel lets go
/// of it shortly after its last process. Errors: EBUSY.
Result<void> remove_group(const std::string& folder);

}  // namespace dewar
