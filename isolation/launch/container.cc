// A container is its PID 1: the namespaces, which it was born in, and the root, which it builds, live as long as it
// does.
#include "isolation/launch/container.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "isolation/launch/confine.h"
#include "isolation/launch/mounts.h"
#include "isolation/launch/own_program.h"
#include "isolation/launch/report.h"
#include "isolation/launch/steps.h"
#include "isolation/launch/user_namespace.h"

namespace dewar {
namespace {

/// The container's PID 1 should be the last that the kernel kills for want of memory. A wish: it needs
/// CAP_SYS_RESOURCE, which not every host leaves us.
void spare_from_oom() {
  const UniqueFd fd(::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  if (fd) (void)!::write(fd.get(), "-1000", 5);
}

void bring_up_loopback(const Reporter& report) {
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  request.ifr_name[0] = 'l';
  request.ifr_name[1] = 'o';
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (!socket || ::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0) report.refuse(step::kLoopback);
}

/// Nothing above `heap` is looked at any more. A sanitizer's heap lies elsewhere and stays.
void give_back_heap(void* heap) {
  const auto first = reinterpret_cast<std::uintptr_t>(heap), end = reinterpret_cast<std::uintptr_t>(::sbrk(0));
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  if (first < end) (void)!::brk(reinterpret_cast<void*>((first + page - 1) / page * page));
}

/// PID 1's whole life. The kernel reaps for a parent that ignores SIGCHLD (wait(2), NOTES), so it never wakes up. The
/// report is the last descriptor to go: who sees it end knows that nothing is open any more.
[[noreturn]] void be_init(int pipe, void* heap) {
  ::signal(SIGCHLD, SIG_IGN);
  ::prctl(PR_SET_NAME, kInitName, 0, 0, 0);
  ::dup2(pipe, 0);
  ::close_range(1, ~0u, 0);
  Reporter(0).succeed();
  ::close(0);
  give_back_heap(heap);
  for (;;) ::pause();
}

}  // namespace

void launch_container(const ContainerRecipe& recipe, int answer, void* heap) {
  const Reporter report(answer);
  if (::getpid() != 1) {  // then this is somebody's mounts and groups, if not the host's
    errno = EPERM;
    report.refuse(step::kPidNamespace);
  }
  if (!is_own_program_read_only()) {
    errno = EROFS;
    report.refuse(step::kReadOnlyProgram);
  }
  UniqueFd user_namespace;
  if (recipe.first_id != 0) {
    user_namespace = make_user_namespace(recipe.first_id);
    if (!user_namespace) report.refuse(step::kUserNamespace);
  }
  spare_from_oom();
  join_v1_cgroups(recipe.v1_roots, report);
  // In between: the namespace's root is, in each hierarchy, the group that its maker is in.
  if (::unshare(CLONE_NEWCGROUP) != 0) report.refuse(step::kCgroupNamespace);
  join_v1_cgroups(recipe.v1_cgroups, report);
  build_root(recipe, user_namespace.get(), report);
  if (::sethostname(recipe.hostname.c_str(), recipe.hostname.size()) != 0) {
    report.refuse(step::kHostname, recipe.hostname);
  }
  if (recipe.network != Network::kHost) bring_up_loopback(report);
  if (user_namespace) {
    enter_user_namespace(user_namespace.get(), report);
    become_user({.name = "root", .uid = recipe.first_id, .gid = recipe.first_id, .groups = {}}, recipe.first_id,
                report);
  }
  limit_capabilities(0, report);
  set_capabilities(0, report);
  forbid_new_privileges(report);
  hide(report);
  be_init(answer, heap);
}

}  // namespace dewar
