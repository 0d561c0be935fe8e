// What both kinds of child do to themselves: born into a cgroup, joining others, and giving up every right.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "isolation/launch/report.h"

namespace dewar {

/// clone3(2), fork-like: returns 0 in the child, its pid in the parent, -1 with errno. `namespaces` are CLONE_NEW*;
/// `cgroup` is a descriptor of the cgroup2 folder to be born in, or -1. `pidfd` becomes the child's, in the parent.
pid_t clone_child(std::uint64_t namespaces, int cgroup, UniqueFd& pidfd);

/// Joins cgroup v1 folders. Writing "0" to `tasks` from the one thread there is takes no global lock, where writing a
/// pid to cgroup.procs waits for an RCU grace period of milliseconds.
void join_v1_cgroups(const std::vector<std::string>& folders, const Reporter& report);

/// All that is not in `kept` leaves the bounding set. Needs CAP_SETPCAP, so it comes before the user changes.
void limit_capabilities(std::uint64_t kept, const Reporter& report);
/// Effective, permitted, inheritable and ambient sets become exactly `kept`.
void set_capabilities(std::uint64_t kept, const Reporter& report);

void forbid_new_privileges(const Reporter& report);

/// Speculative store bypass and indirect branch speculation off for good (PR_SPEC_FORCE_DISABLE), for this process and
/// all that come of it. Fails with ENXIO or EPERM where the processor is affected and
/// this host leaves no choice.
void deny_speculation(const Reporter& report);

/// Makes this process opaque to others of its user: no ptrace(2), no /proc/<pid>/{exe,fd,mem}. To be repeated after
/// each change of credentials, which may undo it (proc(5), suid_dumpable).
void hide(const Reporter& report);

/// What a launcher ignores; SIGUSR1 it blocks. All others are at their default since spawn().
inline constexpr int kIgnoredSignals[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE};
/// Every signal unblocked and at its default again.
void reset_signals();

}  // namespace dewar
