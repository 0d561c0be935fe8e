// Namespaces, file systems, filters: each tried for real.
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>

#include "agent/cli/doctor/check.h"
#include "base/files.h"
#include "base/pipe.h"
#include "base/unique_fd.h"
#include "isolation/landlock.h"
#include "isolation/seccomp/profile.h"

namespace dewar {
namespace {

Result<void> enter_new(int flags, const std::string& what) {
  if (::unshare(flags) != 0) return fail_errno("make a " + what + " namespace");
  return {};
}

template <int kFlag>
Finding namespace_check(const DoctorHost& host, const char* what, Health worst) {
  const auto trial = try_in_child([&] { return enter_new(kFlag, what); });
  return by_trial(host, trial, "made", worst, "enable it in the kernel, and allow it in the container we run in");
}

Finding mount_namespace(const DoctorHost& host) {
  return namespace_check<CLONE_NEWNS>(host, "mount", Health::kMissing);
}
Finding pid_namespace(const DoctorHost& host) { return namespace_check<CLONE_NEWPID>(host, "PID", Health::kMissing); }
Finding ipc_namespace(const DoctorHost& host) { return namespace_check<CLONE_NEWIPC>(host, "IPC", Health::kMissing); }
Finding uts_namespace(const DoctorHost& host) { return namespace_check<CLONE_NEWUTS>(host, "UTS", Health::kMissing); }
Finding cgroup_namespace(const DoctorHost& host) {
  return namespace_check<CLONE_NEWCGROUP>(host, "cgroup", Health::kMissing);
}
Finding network_namespace(const DoctorHost& host) {
  return namespace_check<CLONE_NEWNET>(host, "network", Health::kDegraded);
}

/// A user namespace with a range of ids, and a process that holds it open.
class Mapped {
 public:
  static Result<UniqueFd> make() {
    Pipe ready = DEWAR_TRY(make_pipe());
    const pid_t child = ::fork();
    if (child < 0) return fail_errno("fork");
    if (child == 0) {
      if (::unshare(CLONE_NEWUSER) != 0) ::_exit(errno);
      (void)write_all(ready.writer.get(), "x", "a pipe");
      ::pause();
      ::_exit(0);
    }
    ready.writer.reset();
    char byte = 0;
    const bool made = retry_eintr([&] { return ::read(ready.reader.get(), &byte, 1); }) == 1;
    auto space = made ? map(child) : Result<UniqueFd>(fail("unshare"));
    ::kill(child, SIGKILL);
    int status = 0;
    retry_eintr([&] { return ::waitpid(child, &status, 0); });
    if (!made)
      return fail({WIFEXITED(status) ? WEXITSTATUS(status) : EINTR, std::generic_category()}, "make a user namespace");
    return space;
  }

 private:
  static Result<UniqueFd> map(pid_t child) {
    const std::string folder = "/proc/" + std::to_string(child);
    for (const char* file : {"/uid_map", "/gid_map"}) {
      const UniqueFd fd = DEWAR_TRY(open_file(folder + file, O_WRONLY));
      DEWAR_TRY(write_all(fd.get(), "0 100000 65536", folder + file));
    }
    return open_file(folder + "/ns/user", O_RDONLY);
  }
};

Finding user_namespace(const DoctorHost& host) {
  const auto trial = try_in_child([]() -> Result<void> {
    DEWAR_TRY(Mapped::make());
    return {};
  });
  return by_trial(host, trial, "made, with 65536 ids", Health::kDegraded,
                  "tasks cannot ask for user_namespace: raise sysctl user.max_user_namespaces");
}

Result<void> map_ids_of(const std::string& folder) {
  const UniqueFd space = DEWAR_TRY(Mapped::make());
  DEWAR_TRY(enter_new(CLONE_NEWNS, "mount"));
  const UniqueFd tree(
      static_cast<int>(::syscall(SYS_open_tree, AT_FDCWD, folder.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)));
  if (!tree) return fail_errno("clone the mount of " + folder);
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_IDMAP;
  attributes.userns_fd = static_cast<std::uint64_t>(space.get());
  if (::syscall(SYS_mount_setattr, tree.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0)
    return fail_errno("map the ids of a mount of " + folder);
  return {};
}

Finding idmapped_mounts(const DoctorHost& host) {
  return by_trial(host, try_in_child([&] { return map_ids_of(host.work_dir); }), "work on " + host.work_dir,
                  Health::kDegraded,
                  "in a user namespace root's files belong to nobody: use ext4, XFS or btrfs and Linux 5.12 or later");
}

Result<void> set_option(const UniqueFd& context, const char* name, const std::string& value) {
  if (::syscall(SYS_fsconfig, context.get(), FSCONFIG_SET_STRING, name, value.c_str(), 0) != 0)
    return fail_errno(std::string("set ") + name);
  return {};
}

/// Makes one without attaching it anywhere.
Result<void> overlay_in(const std::string& folder) {
  for (const char* name : {"/lower", "/upper", "/work"}) DEWAR_TRY(make_dirs(folder + name));
  const UniqueFd context(static_cast<int>(::syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC)));
  if (!context) return fail_errno("open an overlay file system");
  DEWAR_TRY(set_option(context, "lowerdir", folder + "/lower"));
  DEWAR_TRY(set_option(context, "upperdir", folder + "/upper"));
  DEWAR_TRY(set_option(context, "workdir", folder + "/work"));
  if (::syscall(SYS_fsconfig, context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
    return fail_errno("make an overlay in " + folder);
  return {};
}

Finding overlay(const DoctorHost& host) {
  std::string folder = host.work_dir + "/dewar-doctor-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr)
    return by_trial(host, fail_errno("make a folder in " + host.work_dir), "", Health::kDegraded,
                    "choose another --work-dir");
  const auto trial = try_in_child([&] { return overlay_in(folder); });
  (void)remove_tree(folder);
  return by_trial(host, trial, "works on " + host.work_dir, Health::kDegraded,
                  "tasks cannot have image roots there: load the module 'overlay', or put the work dir on ext4 or XFS");
}

Finding seccomp(const DoctorHost&) {
  std::string there;
  const std::pair<const char*, std::uint32_t> actions[] = {{"errno", SECCOMP_RET_ERRNO},
                                                           {"kill_process", SECCOMP_RET_KILL_PROCESS},
                                                           {"log", SECCOMP_RET_LOG},
                                                           {"user_notif", SECCOMP_RET_USER_NOTIF}};
  for (const auto& [name, action] : actions)
    if (::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0)
      there += (there.empty() ? "" : ", ") + std::string(name);
  if (!there.starts_with("errno")) return missing("no filters", "enable CONFIG_SECCOMP_FILTER in the kernel");
  const auto filter = compile_seccomp("default");
  if (!filter) return missing(filter.error().message(), "look at the version of libseccomp");
  return ok("actions " + there);
}

Finding landlock(const DoctorHost&) {
  const int abi = landlock_abi();
  if (abi >= kLandlockLeastAbi) return ok("version " + std::to_string(abi));
  return degraded(abi > 0 ? "version " + std::to_string(abi) + ", which is too old to be used"
                          : "not there: no second wall around a task's root",
                  "boot Linux 5.19 or later, with landlock in lsm=");
}

constexpr std::array kChecks = {
    Check{"sandbox", "mount namespace", mount_namespace},
    Check{"sandbox", "PID namespace", pid_namespace},
    Check{"sandbox", "IPC namespace", ipc_namespace},
    Check{"sandbox", "UTS namespace", uts_namespace},
    Check{"sandbox", "cgroup namespace", cgroup_namespace},
    Check{"sandbox", "network namespace", network_namespace},
    Check{"sandbox", "user namespace", user_namespace},
    Check{"sandbox", "idmapped mounts", idmapped_mounts},
    Check{"sandbox", "overlay", overlay},
    Check{"sandbox", "seccomp", seccomp},
    Check{"sandbox", "landlock", landlock},
};

}  // namespace

std::span<const Check> sandbox_checks() { return kChecks; }

}  // namespace dewar
