#pragma once

#include <string>

#include "base/result.h"
#include "isolation/log_quota.h"

namespace dewar {

/// Compresses every rotated file of a run's log folder, the oldest first, each into one that takes its place under its
/// name and `.zst`, until there are no more. The pump may rotate meanwhile. Returns how many there were. Killed at any
/// point it leaves each file, its compressed form, or both; the next one goes on. Waits while another does the same.
/// Errors: of open(2), read(2), write(2).
Result<int> compress_rotated(const std::string& folder, LogQuota& task, LogQuota& host);

}  // namespace dewar
