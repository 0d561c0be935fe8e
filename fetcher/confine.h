#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace dewar {

/// Takes from this thread, and from every thread and process it starts, what unpacking an archive into the folder
/// `target` does not need: capabilities, new privileges, every system call that is not on a short list (no exec, no
/// fork, no socket, no signal to others), and, where the kernel has Landlock (ABI 2, Linux 5.19), every file that is
/// not below `target`. Descriptors that are open stay usable. Call it while there is one thread only. Errors: those of
/// prctl(2), capset(2), seccomp(2), landlock_restrict_self(2). A kernel without Landlock is no error.
Result<void> confine_extraction(int target);

/// The same for what reads the network: sockets, but of files only those at and below `readable`, to read; paths that
/// are not there are left out. No exec, no fork.
Result<void> confine_transfer(const std::vector<std::string>& readable);

/// The same for what only computes on descriptors that are open: no file, no socket, no program.
Result<void> confine_keeping();

/// Drops all capabilities but those of `kept`, a bit each, that this thread has.
Result<void> keep_capabilities(std::uint64_t kept);

/// The part of it that an operator's helper command can live with: no capability, no new privilege.
Result<void> give_up_rights();

}  // namespace dewar
