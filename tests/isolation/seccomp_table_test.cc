// The table against the kernel's headers, and the compiled program against the table: every number is put through the
// bytes that the launcher loads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <vector>

#include "isolation/seccomp/profile.h"
#include "isolation/seccomp/table.h"

namespace dewar {
namespace {

using ::testing::HasSubstr;

constexpr std::uint32_t kEperm = SECCOMP_RET_ERRNO | EPERM, kEnosys = SECCOMP_RET_ERRNO | ENOSYS;

/// Runs a classic BPF program as the kernel does (the instructions a filter may use).
std::uint32_t run_filter(const std::vector<sock_filter>& program, const seccomp_data& data) {
  std::uint32_t accumulator = 0;
  for (std::size_t at = 0; at < program.size(); ++at) {
    const sock_filter& op = program[at];
    const auto branch = [&](bool yes) { at += yes ? op.jt : op.jf; };
    switch (op.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        std::memcpy(&accumulator, reinterpret_cast<const char*>(&data) + op.k, 4);
        break;
      case BPF_ALU | BPF_AND | BPF_K:
        accumulator &= op.k;
        break;
      case BPF_JMP | BPF_JA:
        at += op.k;
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
        branch(accumulator == op.k);
        break;
      case BPF_JMP | BPF_JGT | BPF_K:
        branch(accumulator > op.k);
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
        branch(accumulator >= op.k);
        break;
      case BPF_JMP | BPF_JSET | BPF_K:
        branch((accumulator & op.k) != 0);
        break;
      case BPF_RET | BPF_K:
        return op.k;
      default:
        ADD_FAILURE() << "an instruction this test does not know: " << op.code;
        return 0;
    }
  }
  ADD_FAILURE() << "the program runs off its end";
  return 0;
}

class SeccompTable : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto bytes = compile_seccomp("default");
    ASSERT_TRUE(bytes) << bytes.error().message();
    ASSERT_EQ(bytes->size() % sizeof(sock_filter), 0u);
    program_.resize(bytes->size() / sizeof(sock_filter));
    std::memcpy(program_.data(), bytes->data(), bytes->size());
  }
  std::uint32_t verdict(long number, std::vector<std::uint64_t> arguments = {},
                        std::uint32_t arch = AUDIT_ARCH_X86_64) {
    seccomp_data data{};
    data.nr = static_cast<int>(number);
    data.arch = arch;
    std::ranges::copy(arguments, data.args);
    return run_filter(program_, data);
  }

  std::vector<sock_filter> program_;
};

TEST_F(SeccompTable, FitsInTheKernelsLimit) { EXPECT_LE(program_.size(), std::size_t{BPF_MAXINSNS}); }

TEST_F(SeccompTable, IsSortedAndNamesNoNumberTwice) {
  EXPECT_TRUE(std::ranges::is_sorted(syscall_rules(), std::ranges::less_equal{}, &SyscallRule::number) ||
              std::ranges::adjacent_find(syscall_rules(), std::ranges::greater_equal{}, &SyscallRule::number) ==
                  syscall_rules().end());
}

TEST_F(SeccompTable, EveryNumberDoesWhatItsRowSays) {
  std::map<int, Verdict> rows;
  for (const SyscallRule& rule : syscall_rules()) rows[rule.number] = rule.verdict;
  // Arguments that no condition objects to.
  const std::map<int, std::vector<std::uint64_t>> harmless = {{SYS_socket, {AF_UNIX}}, {SYS_socketpair, {AF_UNIX}}};
  for (int number = 0; number < 2000; ++number) {
    const auto row = rows.find(number);
    const auto arguments = harmless.find(number);
    const std::uint32_t expected = row == rows.end() || row->second == Verdict::kAbsent ? kEnosys
                                   : row->second == Verdict::kAllowed                   ? SECCOMP_RET_ALLOW
                                                                                        : kEperm;
    EXPECT_EQ(verdict(number, arguments == harmless.end() ? std::vector<std::uint64_t>{} : arguments->second), expected)
        << number;
  }
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
}

TEST(Seccomp, UnconfinedIsNoFilterAndOtherNamesAreRefused) {
  EXPECT_EQ(*compile_seccomp("unconfined"), "");
  const auto unknown = compile_seccomp("defualt");
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().message(), HasSubstr("'defualt'"));
  EXPECT_THAT(unknown.error().message(), HasSubstr("'unconfined'"));
}

}  // namespace
}  // namespace dewar
