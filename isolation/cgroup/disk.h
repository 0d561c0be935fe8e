#pragma once

#include <string>

#include "base/result.h"

namespace dewar {

/// "8:0": the whole disk (not the partition) that holds the file system at `path`, for IO limits. Errors: words when
/// there is none, as for tmpfs, btrfs, overlayfs and network file systems.
Result<std::string> disk_below(const std::string& path);

}  // namespace dewar
