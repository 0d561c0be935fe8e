#include "isolation/launch/user_namespace.h"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "base/files.h"
#include "isolation/launch/confine.h"
#include "isolation/launch/steps.h"

namespace dewar {
namespace {

bool write_map(const std::string& file, const std::string& line) {
  const UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
  return fd && ::write(fd.get(), line.data(), line.size()) == static_cast<ssize_t>(line.size());
}

/// Its number as /proc counts, which may be that of a PID namespace above ours (proc(5), fdinfo of a pidfd).
pid_t number_in_proc(const UniqueFd& pidfd) {
  const auto info = read_file("/proc/self/fdinfo/" + std::to_string(pidfd.get()));
  const std::size_t at = info ? info->find("\nPid:\t") : std::string::npos;
  return at == std::string::npos ? -1 : static_cast<pid_t>(std::strtol(info->c_str() + at + 6, nullptr, 10));
}

}  // namespace

/// The maps are written from outside, by one who has the right to give ids away; the namespace's first process has
/// nothing else to do than to be there until then.
UniqueFd make_user_namespace(std::uint32_t first_id) {
  UniqueFd pidfd;
  const pid_t pid = clone_child(CLONE_NEWUSER, -1, pidfd);
  if (pid < 0) return {};
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    for (;;) ::pause();
  }
  const std::string process = "/proc/" + std::to_string(number_in_proc(pidfd));
  const std::string map = "0 " + std::to_string(first_id) + " " + std::to_string(kIdCount);
  UniqueFd made;
  if (write_map(process + "/uid_map", map) && write_map(process + "/gid_map", map))
    made.reset(::open((process + "/ns/user").c_str(), O_RDONLY | O_CLOEXEC));
  const int error = errno;
  (void)send_signal(pidfd, SIGKILL);
  retry_eintr([&] { return ::waitpid(pid, nullptr, 0); });
  errno = error;
  return made;
}

void enter_user_namespace(int fd, const Reporter& report) {
  if (::setns(fd, CLONE_NEWUSER) != 0) report.refuse(step::kUserNamespace);
}

void become_user(const User& user, std::uint32_t first_id, const Reporter& report) {
  // Groups of the host are nobody's in a user namespace.
  const std::size_t groups = first_id == 0 ? user.groups.size() : 0;
  const uid_t uid = user.uid - first_id;
  const gid_t gid = user.gid - first_id;
  if (::setgroups(groups, user.groups.data()) != 0) report.refuse(step::kGroups, user.name);
  if (::setresgid(gid, gid, gid) != 0) report.refuse(step::kGroups, user.name);
  if (::setresuid(uid, uid, uid) != 0) report.refuse(step::kUser, user.name);
}

}  // namespace dewar
