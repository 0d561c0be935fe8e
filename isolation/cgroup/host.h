#pragma once

#include "base/result.h"
#include "isolation/cgroup/layout.h"

namespace dewar {

/// Finds the mounted hierarchies and their versions and makes our own group `name` in each (through libcgroup), with
/// the controllers switched on below it. Errors name what this host lacks. Call before any thread starts: libcgroup
/// keeps global state.
Result<CgroupLayout> prepare_host_cgroups(const std::string& name);

}  // namespace dewar
