// The table against the kernel's headers, and the compiled program against the table: every number is put through the
// bytes that the launcher loads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <vector>

#include "isolation/seccomp/profile.h"
#include "isolation/seccomp/table.h"
#include "tests/isolation/filter_machine.h"

namespace dewar {
namespace {

using ::testing::HasSubstr;

constexpr std::uint32_t kEperm = SECCOMP_RET_ERRNO | EPERM, kEnosys = SECCOMP_RET_ERRNO | ENOSYS;

constexpr std::uint64_t bit(int capability) { return std::uint64_t{1} << capability; }

class SeccompTable : public ::testing::Test {
 protected:
  /// Of the default profile, unless another one was compiled.
  std::uint32_t verdict(long number, const std::vector<std::uint64_t>& arguments = {},
                        std::uint32_t arch = AUDIT_ARCH_X86_64) const {
    return machine_.answer(static_cast<std::uint32_t>(number), arguments, arch);
  }
  void compile(const std::string& profile, std::uint64_t capabilities = 0) {
    const auto bytes = compile_seccomp(profile, capabilities);
    ASSERT_TRUE(bytes) << bytes.error().message();
    machine_ = FilterMachine(*bytes);
  }

  FilterMachine machine_{compile_seccomp("default").take()};
};

TEST_F(SeccompTable, FitsInTheKernelsLimit) { EXPECT_LE(machine_.size(), std::size_t{BPF_MAXINSNS}); }

TEST_F(SeccompTable, IsSortedAndNamesNoNumberTwice) {
  EXPECT_TRUE(std::ranges::is_sorted(syscall_rules(), std::ranges::less_equal{}, &SyscallRule::number) ||
              std::ranges::adjacent_find(syscall_rules(), std::ranges::greater_equal{}, &SyscallRule::number) ==
                  syscall_rules().end());
}

TEST_F(SeccompTable, EveryNumberDoesWhatItsRowSays) {
  std::map<int, SyscallRule> rows;
  for (const SyscallRule& rule : syscall_rules()) rows.emplace(rule.number, rule);
  // Arguments that no condition objects to.
  const std::map<int, std::vector<std::uint64_t>> harmless = {{SYS_socket, {AF_UNIX}}, {SYS_socketpair, {AF_UNIX}}};
  for (const auto& [name, profile] : {std::pair{"default", Profile::kDefault}, {"strict", Profile::kStrict}}) {
    for (const std::uint64_t kept : {std::uint64_t{0}, bit(CAP_SYS_ADMIN), ~std::uint64_t{0}}) {
      compile(name, kept);
      for (int number = 0; number < 2000; ++number) {
        const auto row = rows.find(number);
        const auto arguments = harmless.find(number);
        const Verdict wanted = row == rows.end() ? Verdict::kAbsent : verdict_of(row->second, profile, kept);
        const std::uint32_t expected = wanted == Verdict::kAbsent    ? kEnosys
                                       : wanted == Verdict::kAllowed ? SECCOMP_RET_ALLOW
                                                                     : kEperm;
        EXPECT_EQ(verdict(number, arguments == harmless.end() ? std::vector<std::uint64_t>{} : arguments->second),
                  expected)
            << name << " " << number;
      }
    }
  }
}

TEST_F(SeccompTable, StrictAllowsNothingThatDefaultDoesNot) {
  for (const SyscallRule& rule : syscall_rules()) {
    EXPECT_TRUE(rule.in_strict != Verdict::kAllowed || rule.in_default == Verdict::kAllowed) << rule.name;
  }
}

TEST_F(SeccompTable, CapabilitiesOpenWhatTheyStandFor) {
  EXPECT_EQ(verdict(SYS_mount), kEperm);
  compile("default", bit(CAP_SYS_ADMIN));
  for (const long number : {SYS_mount, SYS_umount2, SYS_setns, SYS_fsopen, SYS_clone3, SYS_sethostname, SYS_bpf})
    EXPECT_EQ(verdict(number), SECCOMP_RET_ALLOW) << number;
  EXPECT_EQ(verdict(SYS_clone, {CLONE_NEWNS}), SECCOMP_RET_ALLOW);
  EXPECT_EQ(verdict(SYS_unshare, {CLONE_NEWUSER}), SECCOMP_RET_ALLOW);
  EXPECT_EQ(verdict(SYS_init_module), kEperm) << "each opens its own";
  EXPECT_EQ(verdict(SYS_socket, {AF_VSOCK}), kEperm);
  compile("strict", bit(CAP_SYS_PTRACE));
  EXPECT_EQ(verdict(SYS_ptrace), SECCOMP_RET_ALLOW);
  EXPECT_EQ(verdict(SYS_mount), kEperm);
  compile("default", ~std::uint64_t{0});
  for (const long number : {SYS_open_by_handle_at, SYS_kexec_load, SYS_kexec_file_load, SYS_io_uring_setup,
                            SYS_userfaultfd, SYS_keyctl, SYS_swapon})
    EXPECT_EQ(verdict(number), kEperm) << number << ": nothing opens it";
}

TEST_F(SeccompTable, StrictTakesMoreAway) {
  compile("strict");
  for (const long number : {SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_pidfd_getfd,
                            SYS_process_madvise, SYS_name_to_handle_at, SYS_vmsplice, SYS_remap_file_pages})
    EXPECT_EQ(verdict(number), kEperm) << number;
  EXPECT_EQ(verdict(SYS_unshare, {CLONE_FILES}), kEperm);
  EXPECT_EQ(verdict(SYS_clone, {CLONE_NEWUSER}), kEperm);
  for (const std::uint64_t family : {AF_UNIX, AF_INET, AF_INET6})
    EXPECT_EQ(verdict(SYS_socket, {family}), SECCOMP_RET_ALLOW) << family;
  for (const std::uint64_t family : {AF_NETLINK, AF_PACKET, AF_VSOCK})
    EXPECT_EQ(verdict(SYS_socket, {family}), kEperm) << family;
  EXPECT_EQ(verdict(SYS_personality, {0x20000}), kEperm);
  EXPECT_EQ(verdict(SYS_personality, {0xffffffff}), SECCOMP_RET_ALLOW);
  EXPECT_EQ(verdict(SYS_ioctl, {0, TIOCSETD}), kEperm);
}

TEST_F(SeccompTable, KnownNumbersHaveTheirKernelNames) {
  const std::map<std::string, long> known = {{"read", SYS_read},
                                             {"clone3", SYS_clone3},
                                             {"mount", SYS_mount},
                                             {"openat2", SYS_openat2},
                                             {"io_uring_setup", SYS_io_uring_setup},
                                             {"keyctl", SYS_keyctl},
                                             {"futex_waitv", SYS_futex_waitv},
                                             {"process_vm_readv", SYS_process_vm_readv},
                                             {"exit_group", SYS_exit_group}};
  for (const auto& [name, number] : known) {
    const auto row = std::ranges::find_if(syscall_rules(), [&](const SyscallRule& rule) { return rule.name == name; });
    ASSERT_NE(row, syscall_rules().end()) << name;
    EXPECT_EQ(row->number, number) << name;
  }
}

TEST_F(SeccompTable, NamespacesCannotBeMade) {
  EXPECT_EQ(verdict(SYS_clone, {CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SETTLS}),
            SECCOMP_RET_ALLOW);
  EXPECT_EQ(verdict(SYS_clone, {17}), SECCOMP_RET_ALLOW) << "fork: only the exit signal";
  for (const std::uint64_t flag :
       {CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET}) {
    EXPECT_EQ(verdict(SYS_clone, {flag | CLONE_VM | 17}), kEperm) << flag;
    EXPECT_EQ(verdict(SYS_unshare, {flag | CLONE_FILES}), kEperm) << flag;
  }
  EXPECT_EQ(verdict(SYS_unshare, {CLONE_NEWTIME}), kEperm);
  EXPECT_EQ(verdict(SYS_unshare, {CLONE_FILES | CLONE_FS}), SECCOMP_RET_ALLOW);
}

TEST_F(SeccompTable, OnlyTheUsualPersonalities) {
  for (const std::uint64_t good : {0x0, 0x8, 0x20000, 0x20008})
    EXPECT_EQ(verdict(SYS_personality, {good}), SECCOMP_RET_ALLOW);
  EXPECT_EQ(verdict(SYS_personality, {0xffffffff}), SECCOMP_RET_ALLOW) << "asks what it is";
  for (const std::uint64_t bad : {0x40000, 0x1, 0x400000}) EXPECT_EQ(verdict(SYS_personality, {bad}), kEperm) << bad;
}

TEST_F(SeccompTable, NobodyTypesIntoATerminal) {
  EXPECT_EQ(verdict(SYS_ioctl, {0, TIOCGWINSZ}), SECCOMP_RET_ALLOW);
  EXPECT_EQ(verdict(SYS_ioctl, {0, TIOCSTI}), kEperm);
  EXPECT_EQ(verdict(SYS_ioctl, {0, TIOCLINUX}), kEperm);
  EXPECT_EQ(verdict(SYS_ioctl, {0, TIOCSTI | (std::uint64_t{0xdead} << 32)}), kEperm) << "the kernel reads 32 bits";
}

TEST_F(SeccompTable, OnlyTheUsualSocketFamilies) {
  for (const std::uint64_t good : {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET})
    EXPECT_EQ(verdict(SYS_socket, {good, SOCK_STREAM}), SECCOMP_RET_ALLOW) << good;
  for (const std::uint64_t bad : {AF_VSOCK, AF_ALG, AF_BLUETOOTH}) EXPECT_EQ(verdict(SYS_socket, {bad}), kEperm) << bad;
  EXPECT_EQ(verdict(SYS_socket, {AF_VSOCK | (std::uint64_t{1} << 32)}), kEperm);
  EXPECT_EQ(verdict(SYS_socketpair, {AF_VSOCK}), kEperm);
}

TEST_F(SeccompTable, OtherArchitecturesEndTheProcess) {
  for (const int number : {0, 1, 11, 60, 165, 2000}) {
    EXPECT_EQ(verdict(number, {}, AUDIT_ARCH_I386), SECCOMP_RET_KILL_PROCESS) << number;
    EXPECT_EQ(verdict(0x40000000 + number), SECCOMP_RET_KILL_PROCESS) << "x32 " << number;
  }
  EXPECT_EQ(verdict(-1), kEnosys) << "a tracer skips a call; of no architecture";
}

TEST(Seccomp, UnconfinedIsNoFilterAndOtherNamesAreRefused) {
  EXPECT_EQ(*compile_seccomp("unconfined"), "");
  const auto unknown = compile_seccomp("defualt");
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().message(), HasSubstr("'defualt'"));
  EXPECT_THAT(unknown.error().message(), HasSubstr("'unconfined'"));
  EXPECT_THAT(compile_seccomp("/nowhere/profile.json").error().message(), HasSubstr("read the seccomp profile: "));
}

}  // namespace
}  // namespace dewar
