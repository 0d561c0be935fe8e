// A task's user namespace. It maps ids and nothing else: all other namespaces of a container belong to the host's, so
// not even a root inside that had every capability could mount, or set up a network.
#pragma once

#include "base/unique_fd.h"
#include "isolation/launch/report.h"
#include "isolation/launch_info.h"

namespace dewar {

/// A new one, in which the ids 0 to kIdCount - 1 are the host's from `first_id` on. Empty, with errno, on an error.
UniqueFd make_user_namespace(std::uint32_t first_id);

/// Joins the one that `fd` stands for (a namespace, or a pidfd of a process in it). All capabilities are then those of
/// the namespace, the bounding set is full again, and the ids are the old ones, which mean nobody there.
void enter_user_namespace(int fd, const Reporter& report);

/// Becomes `user`, whose ids are the host's; `first_id` as in the recipes, 0 outside of any user namespace.
void become_user(const User& user, std::uint32_t first_id, const Reporter& report);

}  // namespace dewar
