#include "isolation/seccomp/table.h"

#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>

namespace dewar {
namespace {

constexpr std::uint64_t bit(int capability) { return std::uint64_t{1} << capability; }
constexpr std::uint64_t kBpf = bit(CAP_BPF), kPerfmon = bit(CAP_PERFMON), kSysAdmin = bit(CAP_SYS_ADMIN),
                        kSysBoot = bit(CAP_SYS_BOOT), kSysChroot = bit(CAP_SYS_CHROOT), kSyslog = bit(CAP_SYSLOG),
                        kSysModule = bit(CAP_SYS_MODULE), kSysNice = bit(CAP_SYS_NICE), kSysPacct = bit(CAP_SYS_PACCT),
                        kSysPtrace = bit(CAP_SYS_PTRACE), kSysRawio = bit(CAP_SYS_RAWIO), kSysTime = bit(CAP_SYS_TIME),
                        kSysTtyConfig = bit(CAP_SYS_TTY_CONFIG);

constexpr std::array kRules = std::to_array<SyscallRule>({
#define X(number, name, in_default, in_strict, opened_by) \
  {number, #name, Verdict::in_default, Verdict::in_strict, opened_by},
#include "isolation/seccomp/table.inc"
#undef X
});

constexpr std::uint32_t kNewNamespace =
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

}  // namespace

std::span<const SyscallRule> syscall_rules() { return kRules; }

Verdict verdict_of(const SyscallRule& rule, Profile profile, std::uint64_t capabilities) {
  if ((rule.opened_by & capabilities) != 0) return Verdict::kAllowed;
  return profile == Profile::kStrict ? rule.in_strict : rule.in_default;
}

std::vector<Condition> conditions(Profile profile, std::uint64_t capabilities) {
  using Test = Condition::Test;
  const bool strict = profile == Profile::kStrict;
  // Linux, Linux with 32-bit addresses, their UNAME26 forms, and the question which one it is.
  std::vector<std::uint32_t> personalities = {0x0, 0x8, 0x20000, 0x20008, 0xffffffff};
  // Not vsock, which reaches the hypervisor, nor the many families that only widen the attack surface.
  std::vector<std::uint32_t> families = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET};
  // The first two push characters into a terminal's input, as if its owner had typed them. The others take a file out
  // of its project, and so out of the disk limit, which the kernel allows its owner.
  std::vector<std::uint32_t> controls = {TIOCSTI, TIOCLINUX, FS_IOC_FSSETXATTR, FS_IOC_SETFLAGS, FS_IOC32_SETFLAGS};
  if (strict) {
    personalities = {0x0, 0xffffffff};
    families = {AF_UNIX, AF_INET, AF_INET6};
    controls.push_back(TIOCSETD);  // loads line disciplines
  }
  std::vector<Condition> list = {{SYS_personality, 0, Test::kIsNoneOf, std::move(personalities)},
                                 {SYS_ioctl, 1, Test::kIsOneOf, std::move(controls)},
                                 {SYS_socket, 0, Test::kIsNoneOf, families},
                                 {SYS_socketpair, 0, Test::kIsNoneOf, families}};
  if ((capabilities & kSysAdmin) != 0) return list;
  list.push_back({SYS_clone, 0, Test::kHasAnyBit, {kNewNamespace}});
  // The bit of CLONE_NEWTIME is part of the exit signal in clone(2).
  if (!strict) list.push_back({SYS_unshare, 0, Test::kHasAnyBit, {kNewNamespace | CLONE_NEWTIME}});
  return list;
}

int number_of(std::string_view name) {
  const auto* found = std::ranges::find(kRules, name, &SyscallRule::name);
  return found == kRules.end() ? -1 : found->number;
}

}  // namespace dewar
