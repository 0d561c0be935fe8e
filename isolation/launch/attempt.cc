// The order of steps is the security argument: what needs the host's rights comes first, each right goes as soon as the
// last step that needs it is done, and the system-call filter comes last because it would forbid the steps before.
#include "isolation/launch/attempt.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <cstring>
#include <optional>

#include "isolation/landlock.h"
#include "isolation/launch/confine.h"
#include "isolation/launch/http_probe.h"
#include "isolation/launch/report.h"
#include "isolation/launch/steps.h"
#include "isolation/launch/user_namespace.h"

namespace dewar {
namespace {

constexpr int kReportFd = 3;
constexpr int kContainerFd = 4;  // where the recipe's sender put it

/// Puts the few descriptors that are needed into known places and closes all others: nothing of the host may be open
/// while this process can be seen in the container.
void keep_only(const AttemptFds& fds, const Reporter& report) {
  if ((fds.out >= 0 && ::dup2(fds.out, 1) < 0) || (fds.err >= 0 && ::dup2(fds.err, 2) < 0) ||
      ::dup3(fds.report, kReportFd, O_CLOEXEC) < 0 || ::close_range(kContainerFd + 1, ~0u, 0) != 0)
    report.refuse(step::kDescriptors);
}

/// A task must not inherit being spared: it gets what was asked for, or at least 0. Without CAP_SYS_RESOURCE it cannot
/// get below what the host gave us.
void set_oom_score(const std::optional<int>& asked, const Reporter& report) {
  char score[16] = {};
  const UniqueFd fd(::open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC));
  if (!fd || ::read(fd.get(), score, sizeof score - 1) <= 0) return;
  if (!asked && score[0] != '-') return;
  const std::string text = std::to_string(asked.value_or(0));
  const bool written = ::pwrite(fd.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size());
  if (!written && asked) report.refuse(step::kOomScore, text);
}

/// Runtimes that size themselves by their limits put the path in /proc/self/cgroup behind /sys/fs/cgroup, which shows
/// the task's group. On v1 the container's cgroup namespace begins there, too. cgroup2 allows no process in a group
/// whose controllers are given to groups below, so none can make a namespace that begins there: each attempt gets one
/// that begins at its own leaf, and the path is "/".
void enter_container(bool v2_alone, const Reporter& report) {
  const int cgroup_namespace = v2_alone ? 0 : CLONE_NEWCGROUP;
  if (::setns(kContainerFd, CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET | cgroup_namespace) != 0)
    report.refuse(step::kEnterNamespaces);
  if (v2_alone && ::unshare(CLONE_NEWCGROUP) != 0) report.refuse(step::kCgroupNamespace);
}

void open_nothing(const AttemptFds& fds, const Reporter& report) {
  const UniqueFd nothing(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!nothing || ::dup2(nothing.get(), 0) < 0 || (fds.out < 0 && ::dup2(nothing.get(), 1) < 0) ||
      (fds.err < 0 && ::dup2(nothing.get(), 2) < 0))
    report.refuse(step::kDescriptors, "/dev/null");
}

/// A working directory reached through /proc/<pid>/fd or left behind by a pivot would be a way out to the host.
void enter_folder(const std::string& folder, const Reporter& report) {
  open_how how{};
  how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_NO_MAGICLINKS;
  const UniqueFd fd(static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, folder.c_str(), &how, sizeof how)));
  if (!fd || ::fchdir(fd.get()) != 0) report.refuse(step::kWorkingDirectory, folder);
  char name[PATH_MAX];
  if (::syscall(SYS_getcwd, name, sizeof name) < 0) report.refuse(step::kWorkingDirectory, folder);
  if (name[0] != '/') {
    errno = EXDEV;
    report.refuse(step::kWorkingDirectory, folder);
  }
}

void limit_resources(const std::vector<Rlimit>& limits, const Reporter& report) {
  for (const Rlimit& limit : limits) {
    const rlimit64 value{limit.soft, limit.hard};
    if (::syscall(SYS_prlimit64, 0, limit.resource, &value, nullptr) != 0)
      report.refuse(step::kRlimit, "resource " + std::to_string(limit.resource));
  }
}

/// Our caller's keys are not the task's. Made as root: a user's own quota of keys would end after 200 processes.
void leave_keyring(const Reporter& report) {
  if (::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) < 0 && errno != ENOSYS) report.refuse(step::kKeyring);
}

/// Across the change of user; set_capabilities() brings them back into effect.
void keep_capabilities(std::uint64_t capabilities, const Reporter& report) {
  if (capabilities != 0 && ::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) report.refuse(step::kCapabilities, "keep");
}

void build_wall(const std::vector<std::string>& writable, const Reporter& report) {
  if (!writable.empty() && !forbid_writing_elsewhere(writable)) report.refuse(step::kLandlock);
}

void filter_calls(const std::string& program, const Reporter& report) {
  if (program.empty()) return;
  const std::size_t count = program.size() / sizeof(sock_filter);
  if (program.size() % sizeof(sock_filter) != 0 || count > USHRT_MAX) {
    errno = EINVAL;
    report.refuse(step::kSeccomp, std::to_string(program.size()) + " bytes are no filter");
  }
  std::vector<sock_filter> filter(count);
  std::memcpy(filter.data(), program.data(), program.size());
  const sock_fprog whole{static_cast<unsigned short>(count), filter.data()};
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &whole) != 0) report.refuse(step::kSeccomp);
}

std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> list;
  list.reserve(words.size() + 1);
  for (const std::string& word : words) list.push_back(const_cast<char*>(word.c_str()));
  list.push_back(nullptr);
  return list;
}

}  // namespace

void become_attempt(const AttemptRecipe& recipe, const AttemptFds& fds) {
  keep_only(fds, Reporter(fds.report));
  const Reporter report(kReportFd);
  const auto argv = pointers(recipe.argv), env = pointers(recipe.env);
  join_v1_cgroups(recipe.v1_cgroups, report);
  set_oom_score(recipe.oom_score_adj, report);
  if (::setsid() < 0) report.refuse(step::kSession);
  if (!recipe.on_host) enter_container(recipe.v1_cgroups.empty(), report);
  open_nothing(fds, report);
  enter_folder(recipe.cwd, report);
  ::umask(022);
  leave_keyring(report);
  limit_resources(recipe.rlimits, report);
  // The last thing that the host's root is needed for. From here on it is the namespace's, whose members cannot look
  // into this process: its memory still belongs to the host's (ptrace(2), "access mode checking").
  if (recipe.first_id != 0) enter_user_namespace(kContainerFd, report);
  ::close(kContainerFd);
  limit_capabilities(recipe.capabilities, report);
  keep_capabilities(recipe.capabilities, report);
  become_user(recipe.user, recipe.first_id, report);
  set_capabilities(recipe.capabilities, report);
  forbid_new_privileges(report);
  if (recipe.deny_speculation) deny_speculation(report);
  build_wall(recipe.writable, report);
  hide(report);  // the change of user may have undone it
  reset_signals();
  if (::close_range(kReportFd, ~0u, CLOSE_RANGE_CLOEXEC) != 0) report.refuse(step::kDescriptors);
  filter_calls(recipe.seccomp, report);
  if (recipe.probe) {
    ::close(kReportFd);  // as execve(2) would
    ::_exit(ask_http(*recipe.probe));
  }
  ::execve(argv[0], argv.data(), env.data());
  report.refuse(step::kExec, recipe.argv[0]);
}

}  // namespace dewar
