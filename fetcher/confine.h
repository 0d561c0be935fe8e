#pragma once

#include "base/result.h"

namespace dewar {

/// Takes from this thread, and from every thread and process it starts, what unpacking an archive into the folder
/// `target` does not need: capabilities, new privileges, every system call that is not on a short list (no exec, no
/// fork, no socket, no signal to others), and, where the kernel has Landlock (ABI 2, Linux 5.19), every file that is
/// not below `target`. Descriptors that are open stay usable. Call it while there is one thread only. Errors: those of
/// prctl(2), capset(2), seccomp(2), landlock_restrict_self(2). A kernel without Landlock is no error.
Result<void> confine_extraction(int target);

}  // namespace dewar
