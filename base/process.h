// Processes: started, identified and signalled so that a stranger who got a reused pid is never touched.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace dewar {

/// Who a process is beyond its number: field 22 of /proc/<pid>/stat (proc(5)), in clock ticks since boot. Together
/// with the boot id it names one process for ever.
struct ProcessId {
  pid_t pid = 0;
  std::uint64_t start_ticks = 0;
  friend bool operator==(const ProcessId&, const ProcessId&) = default;
};

template <class Coder>
void code(Coder& c, ProcessId& id) {
  c(id.pid, id.start_ticks);
}

/// The identity of a living (or zombie) process. Errors: ENOENT, ESRCH.
Result<ProcessId> identify(pid_t pid);

/// A descriptor of exactly this process, or ESRCH if it is gone or the number is somebody else's now. Close-on-exec.
Result<UniqueFd> open_process(const ProcessId& id);

/// pidfd_open(2) for a child that nobody has reaped yet.
Result<UniqueFd> open_child(pid_t pid);

/// pidfd_send_signal(2). A process that has ended already is no error.
Result<void> send_signal(const UniqueFd& pidfd, int signal);

/// True once the process behind a pidfd has ended.
bool has_ended(const UniqueFd& pidfd);

/// /proc/sys/kernel/random/boot_id without the newline: differs after every boot.
Result<std::string> boot_id();

/// A program to start: what becomes its descriptors 0, 1, 2, … (each `fds[i]` becomes descriptor i; -1 leaves it
/// closed, for 0–2 /dev/null). Everything else is closed.
struct Spawn {
  std::string program;            ///< absolute path
  std::vector<std::string> argv;  ///< argv[0] included
  std::vector<std::string> env;   ///< NAME=VALUE
  std::vector<int> fds;
  bool new_session = false;      ///< setsid(2): no terminal, own process group
  bool new_group = false;        ///< setpgid(2) alone: a session may cost a scheduler's group (CONFIG_SCHED_AUTOGROUP)
  int cgroup = -1;               ///< a folder of cgroup2 that it is born in, see CLONE_INTO_CGROUP in clone(2)
  std::uint64_t namespaces = 0;  ///< those that are made for it, CLONE_NEW… of clone(2)
};

/// Opens a program through a read-only mount that lies in no namespace and goes with its last user. A process that was
/// started from it (by /proc/<pid>/fd/<n>, or execveat(2)) shows its file through that mount: nobody can write to it by
/// way of /proc/<pid>/exe. Close-on-exec. Errors: EPERM (needs CAP_SYS_ADMIN), EINVAL (it lies on an unbindable mount).
Result<UniqueFd> open_read_only(const std::string& program);

/// vfork-like start: costs the same from a big program as from a small one. All signals are unblocked
/// and set to default in the child. Returns the child's pid; the caller must reap it. Errors: those of execve(2).
Result<pid_t> spawn(const Spawn& what);

}  // namespace dewar
