#pragma once

namespace dewar {

/// Whether this program was executed through a read-only mount.
bool is_own_program_read_only();

/// Executes this program again, through a read-only mount of its own file that lies in no namespace and goes with its
/// last process. Until a child executes the task's program it can be seen in the sandbox, and /proc/<pid>/exe leads to
/// the file: whoever may follow that link (CAP_SYS_PTRACE) could otherwise wait until nobody executes the file and
/// overwrite what root runs next (CVE-2019-5736). Returns, with errno, only if this host does not let us; returns at
/// once if it is done already.
void execute_read_only(char** argv, char** env);

}  // namespace dewar
