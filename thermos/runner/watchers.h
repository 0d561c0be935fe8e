#pragma once

#include <memory>
#include <vector>

#include "thermos/runner/watcher.h"

namespace dewar {

/// All that this task needs; none for a task without limits. What cannot be watched is told.
std::vector<std::unique_ptr<Watcher>> make_watchers(const WatchContext& context);

}  // namespace dewar
