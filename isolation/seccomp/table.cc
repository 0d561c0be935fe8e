#include "isolation/seccomp/table.h"

#include <linux/sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <array>

namespace dewar {
namespace {

constexpr std::array kRules = std::to_array<SyscallRule>({
#define X(number, name, verdict) {number, #name, Verdict::verdict},
#include "isolation/seccomp/table.inc"
#undef X
});

constexpr std::uint32_t kNewNamespace =
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

}  // namespace

std::span<const SyscallRule> syscall_rules() { return kRules; }

const std::vector<Condition>& syscall_conditions() {
  using Test = Condition::Test;
  static const std::vector<Condition> kConditions = {
      {SYS_clone, 0, Test::kHasAnyBit, {kNewNamespace}},
      // The bit of CLONE_NEWTIME is part of the exit signal in clone(2).
      {SYS_unshare, 0, Test::kHasAnyBit, {kNewNamespace | CLONE_NEWTIME}},
      // Linux, Linux with 32-bit addresses, their UNAME26 forms, and the question which one it is.
      {SYS_personality, 0, Test::kIsNoneOf, {0x0, 0x8, 0x20000, 0x20008, 0xffffffff}},
      // Both push characters into a terminal's input, as if its owner had typed them.
      {SYS_ioctl, 1, Test::kIsOneOf, {TIOCSTI, TIOCLINUX}},
      // Not vsock, which reaches the hypervisor, nor the many families that only widen the attack surface.
      {SYS_socket, 0, Test::kIsNoneOf, {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET}},
      {SYS_socketpair, 0, Test::kIsNoneOf, {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET}},
  };
  return kConditions;
}

}  // namespace dewar
