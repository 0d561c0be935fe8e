#include "base/process.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#include "base/files.h"

namespace dewar {
namespace {

UniqueFd pidfd_open(pid_t pid) { return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); }

std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> list;
  for (const std::string& word : words) list.push_back(const_cast<char*>(word.c_str()));
  list.push_back(nullptr);
  return list;
}

/// All that the child of spawn() needs. It is us, on our own stack, until it executes its program.
struct Birth {
  const char* program;
  char* const* argv;
  char* const* env;
  const int* fds;  ///< what becomes 0, 1, …; -1: nothing
  int count;
  bool new_session, new_group;
  volatile int error;
};

/// Nothing but system calls, by themselves: what a C library or a sanitizer noted down here would be noted in us.
/// Nor may AddressSanitizer mark this frame: the marks would stay on our own stack.
[[noreturn, gnu::noinline, gnu::no_sanitize_address]] void be_born(Birth& birth) {
  const std::uint64_t default_action[4] = {};  // struct kernel_sigaction: handler, flags, restorer, mask
  for (int number = 1; number < NSIG; ++number) ::syscall(SYS_rt_sigaction, number, default_action, nullptr, 8);
  if (birth.new_session) ::syscall(SYS_setsid);
  if (birth.new_group) ::syscall(SYS_setpgid, 0, 0);
  bool done = true;
  for (int target = 0; target < birth.count; ++target) {
    if (birth.fds[target] >= 0) {
      done = done && ::syscall(SYS_dup3, birth.fds[target], target, 0) == target;
    } else {
      ::syscall(SYS_close, target);
      if (target < 3) done = done && ::syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR, 0) == target;
    }
  }
  done = done && ::syscall(SYS_close_range, birth.count, ~0u, 0) == 0;
  const std::uint64_t none = 0;
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, sizeof none);
  if (done) ::syscall(SYS_execve, birth.program, birth.argv, birth.env);
  birth.error = errno;
  ::syscall(SYS_exit_group, 127);
  __builtin_unreachable();
}

/// clone3(2) as vfork(2) does it: the child shares our memory, and we go on once it has executed or ended. Inline, as
/// the child must not return from the function it was born in. The negative errno on failure.
[[gnu::always_inline]] inline long clone_like_vfork(clone_args& args) {
#if defined(__x86_64__)
  args.flags |= CLONE_VM | CLONE_VFORK;
  long result = SYS_clone3;
  asm volatile("syscall" : "+a"(result) : "D"(&args), "S"(sizeof args) : "rcx", "r11", "memory");
  return result;
#else  // without the assembly: a plain fork, dearer by the copying of page tables
  args.flags |= CLONE_VFORK;
  const long result = ::syscall(SYS_clone3, &args, sizeof args);
  return result < 0 ? -errno : result;
#endif
}

}  // namespace

Result<ProcessId> identify(pid_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/stat";
  const std::string stat = DEWAR_TRY(read_file(path));
  // The command name (field 2) may hold anything, so count fields from the last ')': field 3 follows it.
  const std::size_t close = stat.rfind(')');
  if (close == std::string::npos) return fail(std::errc::bad_message, "parse " + path);
  std::string_view rest = std::string_view(stat).substr(close + 1);
  for (int field = 2; field < 22; ++field) {
    const std::size_t space = rest.find(' ');
    if (space == std::string_view::npos) return fail(std::errc::bad_message, "parse " + path);
    rest.remove_prefix(space + 1);
  }
  ProcessId id{pid, 0};
  std::from_chars(rest.data(), rest.data() + rest.size(), id.start_ticks);
  return id;
}

Result<UniqueFd> open_process(const ProcessId& id) {
  const std::string who = "process " + std::to_string(id.pid);
  UniqueFd fd = pidfd_open(id.pid);
  if (!fd) return fail_errno("open " + who);
  // The descriptor pins the process; if the start time still matches now, it is the one we meant.
  const auto now = identify(id.pid);
  if (!now || *now != id) return fail(std::errc::no_such_process, "open " + who);
  return fd;
}

Result<UniqueFd> open_child(pid_t pid) {
  UniqueFd fd = pidfd_open(pid);
  if (!fd) return fail_errno("open child " + std::to_string(pid));
  return fd;
}

Result<void> send_signal(const UniqueFd& pidfd, int signal) {
  if (::syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0) != 0 && errno != ESRCH)
    return fail_errno("send signal " + std::to_string(signal));
  return {};
}

bool has_ended(const UniqueFd& pidfd) {
  pollfd watched{pidfd.get(), POLLIN, 0};
  return retry_eintr([&] { return ::poll(&watched, 1, 0); }) > 0;
}

Result<std::string> boot_id() {
  std::string id = DEWAR_TRY(read_file("/proc/sys/kernel/random/boot_id"));
  while (!id.empty() && id.back() == '\n') id.pop_back();
  return id;
}

Result<UniqueFd> open_read_only(const std::string& program) {
  UniqueFd file(::open_tree(AT_FDCWD, program.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  if (!file || ::mount_setattr(file.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0)
    return fail_errno("open " + program + " read-only");
  return file;
}

Result<pid_t> spawn(const Spawn& what) {
  // Sources may overlap the targets, so lift them all out of the way first.
  std::vector<UniqueFd> lifted;
  std::vector<int> fds(std::max<std::size_t>(what.fds.size(), 3), -1);
  const int above = static_cast<int>(fds.size());
  for (std::size_t i = 0; i < what.fds.size(); ++i) {
    if (what.fds[i] < 0) continue;
    lifted.emplace_back(::fcntl(what.fds[i], F_DUPFD_CLOEXEC, above));
    if (!lifted.back()) return fail_errno("start " + what.program);
    fds[i] = lifted.back().get();
  }
  const auto argv = pointers(what.argv), env = pointers(what.env);
  Birth birth{what.program.c_str(), argv.data(), env.data(), fds.data(), above, what.new_session, what.new_group, 0};
  clone_args args{};
  args.flags = what.namespaces;
  args.exit_signal = SIGCHLD;
  if (what.cgroup >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<std::uint64_t>(what.cgroup);
  }
  std::uint64_t all = ~std::uint64_t{0}, old = 0;  // no handler may run in the child: it would run in us
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &old, sizeof all);
  const long pid = clone_like_vfork(args);
  if (pid == 0) be_born(birth);
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &old, nullptr, sizeof old);
  const int error = pid < 0 ? static_cast<int>(-pid) : birth.error;
  if (error == 0) return static_cast<pid_t>(pid);
  if (pid > 0) retry_eintr([&] { return ::waitpid(static_cast<pid_t>(pid), nullptr, 0); });
  return fail({error, std::generic_category()}, "start " + what.program);
}

}  // namespace dewar
