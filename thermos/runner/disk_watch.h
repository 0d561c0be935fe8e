// Looks after what a task writes. docs/sandbox.md, "Disk".
#pragma once

#include <memory>

#include "thermos/runner/watcher.h"

namespace dewar {

/// None for a task without a limit. Where the file system keeps the limit (ProjectQuota), tells that it
/// was met, and where the task's bytes are. Elsewhere counts, and fails a task that stays above.
std::unique_ptr<Watcher> watch_disk(const WatchContext& context);

}  // namespace dewar
