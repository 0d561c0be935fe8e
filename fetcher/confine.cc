#include "fetcher/confine.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "base/unique_fd.h"

namespace dewar {
namespace {

#if defined(__x86_64__)
constexpr std::uint32_t kArch = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t kArch = AUDIT_ARCH_AARCH64;
#else
#error "confine.cc: name this machine's AUDIT_ARCH"
#endif

/// What threads need that compute and use descriptors that are open. Nothing here starts a program, opens a socket, or
/// reaches another process.
constexpr std::initializer_list<long> kComputing {
  // descriptors that are open
  SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_pread64, SYS_pwrite64, SYS_lseek, SYS_close, SYS_fstat, SYS_fcntl,
      SYS_ppoll, SYS_ftruncate, SYS_fsync, SYS_fdatasync, SYS_copy_file_range, SYS_fallocate, SYS_sendmsg, SYS_recvmsg,
      SYS_sendto, SYS_recvfrom,
      // memory, threads, time
      SYS_mmap, SYS_munmap, SYS_mremap, SYS_mprotect, SYS_madvise, SYS_brk, SYS_futex, SYS_set_robust_list, SYS_rseq,
      SYS_sched_yield, SYS_sched_getaffinity, SYS_rt_sigprocmask, SYS_rt_sigaction, SYS_rt_sigreturn, SYS_sigaltstack,
      SYS_gettid, SYS_getpid, SYS_getrandom, SYS_clock_gettime, SYS_clock_nanosleep, SYS_prlimit64, SYS_exit,
      SYS_exit_group, SYS_restart_syscall,
#if defined(__x86_64__)
      SYS_poll,
#endif
};

/// To look at files; Landlock says which.
constexpr std::initializer_list<long> kReading {
  SYS_openat, SYS_openat2, SYS_newfstatat, SYS_statx, SYS_getdents64, SYS_readlinkat, SYS_faccessat, SYS_faccessat2,
      SYS_fstatfs,
#if defined(__x86_64__)
      SYS_stat, SYS_open, SYS_access, SYS_readlink, SYS_lstat,
#endif
};

/// To make files; Landlock says where.
constexpr std::initializer_list<long> kMaking{SYS_mkdirat, SYS_unlinkat,  SYS_renameat,  SYS_renameat2,
                                              SYS_linkat,  SYS_symlinkat, SYS_utimensat, SYS_flock};

/// To connect to servers and name servers, as libcurl and getaddrinfo(3) do.
constexpr std::initializer_list<long> kConnecting {
  SYS_socket, SYS_connect, SYS_bind, SYS_getsockname, SYS_getpeername, SYS_setsockopt, SYS_getsockopt, SYS_shutdown,
      SYS_sendmmsg, SYS_recvmmsg, SYS_socketpair, SYS_pipe2, SYS_eventfd2, SYS_ioctl, SYS_pselect6, SYS_uname,
      SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_sysinfo, SYS_dup, SYS_epoll_create1, SYS_epoll_ctl,
      SYS_epoll_pwait, SYS_clock_getres, SYS_gettimeofday,
#if defined(__x86_64__)
      SYS_pipe, SYS_select, SYS_time, SYS_epoll_wait,
#endif
};

sock_filter load(std::uint32_t offset) { return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset); }
sock_filter answer(std::uint32_t action) { return BPF_STMT(BPF_RET | BPF_K, action); }
/// Skips `then` instructions if the value loaded is `value`, else `otherwise`.
sock_filter if_equal(std::uint32_t value, std::uint8_t then, std::uint8_t otherwise) {
  return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, then, otherwise);
}

/// Allows the list, and clone(2) of threads; clone3(2) does not exist, so that the C library takes clone(2), whose
/// flags a filter can see. Everything else fails with EPERM.
std::vector<sock_filter> filter(std::initializer_list<std::initializer_list<long>> allowed) {
  std::vector<sock_filter> program{
      load(offsetof(seccomp_data, arch)),
      if_equal(kArch, 1, 0),
      answer(SECCOMP_RET_KILL_PROCESS),
      load(offsetof(seccomp_data, nr)),
  };
  for (const auto& list : allowed) {
    for (const long number : list) {
      program.push_back(if_equal(static_cast<std::uint32_t>(number), 0, 1));
      program.push_back(answer(SECCOMP_RET_ALLOW));
    }
  }
  program.push_back(if_equal(SYS_clone3, 0, 1));
  program.push_back(answer(SECCOMP_RET_ERRNO | ENOSYS));
  program.push_back(if_equal(SYS_clone, 0, 3));
  program.push_back(
      load(offsetof(seccomp_data, args[0])));  // the flags are in the lower half; both ours are little-endian
  program.push_back(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 0, 1));
  program.push_back(answer(SECCOMP_RET_ALLOW));
  program.push_back(answer(SECCOMP_RET_ERRNO | EPERM));
  return program;
}

Result<void> limit_system_calls(std::initializer_list<std::initializer_list<long>> allowed) {
  std::vector<sock_filter> program = filter(allowed);
  const sock_fprog loaded{static_cast<unsigned short>(program.size()), program.data()};
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &loaded) != 0) return fail_errno("limit system calls");
  return {};
}

#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif

constexpr std::uint64_t kLookAt = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t kChange = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                                  LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |
                                  LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER;
constexpr std::uint64_t kNever = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
                                 LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
                                 LANDLOCK_ACCESS_FS_MAKE_BLOCK;

/// landlock(7): what is below `target` may be read and changed, what is below `readable` read. Renaming and linking
/// between folders came with ABI 2; before that Landlock forbids both, and unpacking needs them.
Result<void> limit_files(int target, const std::vector<std::string>& readable) {
  const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (abi < 2) return {};
  const std::uint64_t truncate = abi >= 3 ? LANDLOCK_ACCESS_FS_TRUNCATE : 0;
  landlock_ruleset_attr attr{};
  attr.handled_access_fs = kLookAt | kChange | kNever | truncate;
  const UniqueFd rules(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0)));
  if (!rules) return fail_errno("limit files");
  const auto open_up = [&](int fd, std::uint64_t access) {
    landlock_path_beneath_attr beneath{};
    beneath.allowed_access = access;
    beneath.parent_fd = fd;
    return ::syscall(SYS_landlock_add_rule, rules.get(), LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) == 0;
  };
  if (target >= 0 && !open_up(target, kLookAt | kChange | truncate))
    return fail_errno("limit files to the target folder");
  for (const std::string& path : readable) {
    const UniqueFd fd(::open(path.c_str(), O_PATH | O_CLOEXEC));
    struct stat info {};
    if (!fd || ::fstat(fd.get(), &info) != 0) continue;  // what is not there, or not ours to see, needs no rule
    const std::uint64_t access = S_ISDIR(info.st_mode) ? kLookAt : LANDLOCK_ACCESS_FS_READ_FILE;
    if (!open_up(fd.get(), access)) return fail_errno("limit files to " + path);
  }
  if (::syscall(SYS_landlock_restrict_self, rules.get(), 0) != 0) return fail_errno("limit files");
  return {};
}

}  // namespace

Result<void> keep_capabilities(std::uint64_t kept) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct held[2]{};
  if (::syscall(SYS_capget, &header, held) != 0) return fail_errno("look at capabilities");
  for (const int half : {0, 1}) {
    held[half].permitted &= static_cast<std::uint32_t>(kept >> (32 * half));
    held[half].effective = held[half].permitted;
    held[half].inheritable = 0;
  }
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 || ::syscall(SYS_capset, &header, held) != 0)
    return fail_errno("drop capabilities");
  return {};
}

Result<void> confine_extraction(int target) {
  DEWAR_TRY(give_up_rights());
  DEWAR_TRY(limit_files(target, {}));
  return limit_system_calls({kComputing, kReading, kMaking});
}

Result<void> confine_transfer(const std::vector<std::string>& readable) {
  DEWAR_TRY(give_up_rights());
  DEWAR_TRY(limit_files(-1, readable));
  return limit_system_calls({kComputing, kReading, kConnecting});
}

Result<void> confine_keeping() {
  DEWAR_TRY(give_up_rights());
  DEWAR_TRY(limit_files(-1, {}));
  return limit_system_calls({kComputing});
}

Result<void> give_up_rights() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno("no new privileges");
  return keep_capabilities(0);
}

}  // namespace dewar
