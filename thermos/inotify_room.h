#pragma once

#include <cstdint>

#include "base/result.h"

namespace dewar {

/// A runner waits on up to three inotify(7) instances: with a quota for output, where disk use is counted, where
/// something is fetched. All are root's; the kernel's own limit of 128 for a user would do for some forty such tasks.
constexpr std::uint64_t kInotifyInstances = 65536;

/// fs.inotify.max_user_instances, now.
Result<std::uint64_t> inotify_instances();

/// Whether make_room_for_inotify() would be allowed to.
bool make_room_for_inotify_allowed();

/// Raises that to kInotifyInstances, for the whole host; never lowers it. Errors: of open(2) and write(2).
Result<void> make_room_for_inotify();

}  // namespace dewar
