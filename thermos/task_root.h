// What a task's root and its user namespace need of this host before the runner starts.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "thermos/records.h"
#include "thermos/runner_spec.h"

namespace dewar {

/// Finds, or unpacks, the image of `spec.sandbox.root` below `<work_dir>/images`, and takes over what it says: its
/// shell, its PATH, its other variables (each gives way to the task's), and whom it runs as if `user_is_default`, that
/// is, if neither the task nor the caller has named anybody. In a user namespace `spec.user` then has the ids of the
/// inside. Returns what a person should know; nothing for a task in the host's own root.
Result<std::vector<EventRecord>> prepare_task_root(RunnerSpec& spec, const std::string& work_dir, bool user_is_default);

/// Gives a task that asks for a user namespace its ids: from here on `spec.user` has those that stand outside for the
/// ones inside. `<run>` must exist.
Result<void> reserve_task_ids(RunnerSpec& spec);

}  // namespace dewar
