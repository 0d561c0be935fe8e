#include "isolation/launch/confine.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <utility>

#include "isolation/launch/steps.h"

namespace dewar {
namespace {

constexpr int kMostCapabilities = 64;

}  // namespace

pid_t clone_child(std::uint64_t namespaces, int cgroup, UniqueFd& pidfd) {
  int fd = -1;
  clone_args args{};
  args.flags = namespaces | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<std::uintptr_t>(&fd);
  args.exit_signal = SIGCHLD;
  if (cgroup >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<std::uint64_t>(cgroup);
  }
  const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof args));
  if (pid > 0) pidfd.reset(fd);
  return pid;
}

void join_v1_cgroups(const std::vector<std::string>& folders, const Reporter& report) {
  for (const std::string& folder : folders) {
    const std::string tasks = folder + "/tasks";
    const UniqueFd fd(::open(tasks.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd || ::write(fd.get(), "0", 1) != 1) report.refuse(step::kJoinCgroup, folder);
  }
}

void limit_capabilities(std::uint64_t kept, const Reporter& report) {
  for (int capability = 0; capability < kMostCapabilities; ++capability) {
    if (kept >> capability & 1) continue;
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) continue;
    if (errno == EINVAL) return;  // the kernel knows no more
    report.refuse(step::kCapabilities, "bounding set");
  }
}

void set_capabilities(std::uint64_t kept, const Reporter& report) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[2];
  for (int half = 0; half < 2; ++half) {
    const auto bits = static_cast<std::uint32_t>(kept >> (32 * half));
    sets[half] = {bits, bits, bits};
  }
  if (::syscall(SYS_capset, &header, sets) != 0) report.refuse(step::kCapabilities, "permitted set");
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
    report.refuse(step::kCapabilities, "ambient set");
  for (int capability = 0; capability < kMostCapabilities; ++capability) {
    if ((kept >> capability & 1) && ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) != 0)
      report.refuse(step::kCapabilities, "ambient set");
  }
}

void forbid_new_privileges(const Reporter& report) {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) report.refuse(step::kNoNewPrivileges);
}

void deny_speculation(const Reporter& report) {
  for (const auto& [feature, name] :
       {std::pair{PR_SPEC_STORE_BYPASS, "store bypass"}, {PR_SPEC_INDIRECT_BRANCH, "indirect branches"}}) {
    const int state = ::prctl(PR_GET_SPECULATION_CTRL, feature, 0, 0, 0);
    if (state == PR_SPEC_NOT_AFFECTED) continue;
    if (state < 0) report.refuse(step::kSpeculation, name);
    if ((state & (PR_SPEC_DISABLE | PR_SPEC_FORCE_DISABLE)) != 0 && (state & PR_SPEC_PRCTL) == 0) continue;  // for all
    if (::prctl(PR_SET_SPECULATION_CTRL, feature, PR_SPEC_FORCE_DISABLE, 0, 0) != 0)
      report.refuse(step::kSpeculation, name);
  }
}

void hide(const Reporter& report) {
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) report.refuse(step::kHide);
}

void reset_signals() {
  for (const int number : kIgnoredSignals) ::signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace dewar
