// Profile files: what they come to, run through the compiled filter, and what is said about bad ones.
#include "isolation/seccomp/profile_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/files.h"
#include "isolation/seccomp/bpf.h"
#include "isolation/seccomp/profile.h"
#include "tests/isolation/filter_machine.h"
#include "tests/support/temp_folder.h"

namespace dewar {
namespace {

using ::testing::HasSubstr;

constexpr Action kEperm = refuse_with(EPERM);

/// A profile in the form of Docker's own, with one of each of its habits.
constexpr const char* kDockerLike = R"({
  "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
  "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
              {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]}],
  "syscalls": [
    {"names": ["read", "write", "mseal", "socketcall", "sendto", "shmget", "arm_fadvise64_64", "riscv_hwprobe"],
     "action": "SCMP_ACT_ALLOW"},
    {"names": ["process_vm_readv", "ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
    {"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 40, "op": "SCMP_CMP_NE"}]},
    {"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 0, "op": "SCMP_CMP_EQ"}]},
    {"names": ["personality"], "action": "SCMP_ACT_ALLOW",
     "args": [{"index": 0, "value": 4294967295, "op": "SCMP_CMP_EQ"}]},
    {"names": ["arm_sync_file_range"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm", "arm64"]}},
    {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64", "x32"]}},
    {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
    {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "comment": "no namespaces",
     "args": [{"index": 0, "value": 2114060288, "op": "SCMP_CMP_MASKED_EQ"}],
     "excludes": {"caps": ["CAP_SYS_ADMIN"], "arches": ["s390", "s390x"]}},
    {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38, "excludes": {"caps": ["CAP_SYS_ADMIN"]}}
  ]})";

FilterMachine compiled(const std::string& text, const ProfileContext& context = {0, {6, 1}}) {
  const auto policy = parse_profile(text, context);
  if (!policy) ADD_FAILURE() << policy.error().message();
  return FilterMachine(compile_bpf(policy ? *policy : Policy{}).take());
}

std::string complaint(const std::string& text) {
  const auto policy = parse_profile(text, {0, {6, 1}});
  return policy ? "accepted" : policy.error().message();
}

/// A profile with these `syscalls`.
std::string with_calls(const std::string& calls) {
  return R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [)" + calls + "]}";
}

TEST(ProfileFile, DockersFormIsUnderstood) {
  const FilterMachine machine = compiled(kDockerLike);
  for (const int number : {SYS_read, SYS_sendto, SYS_ptrace, SYS_arch_prctl, 462})
    EXPECT_EQ(machine.answer(static_cast<std::uint32_t>(number)), SECCOMP_RET_ALLOW) << number;
  for (const int number : {SYS_mount, SYS_open, SYS_sync_file_range, 1000})
    EXPECT_EQ(machine.answer(static_cast<std::uint32_t>(number)), kEperm) << number;
  EXPECT_EQ(machine.answer(SYS_clone, {17}), SECCOMP_RET_ALLOW);
  EXPECT_EQ(machine.answer(SYS_clone, {CLONE_NEWUSER | 17}), kEperm);
  EXPECT_EQ(machine.answer(SYS_clone3), refuse_with(ENOSYS));
  EXPECT_EQ(machine.answer(SYS_personality, {0}), SECCOMP_RET_ALLOW);
  EXPECT_EQ(machine.answer(SYS_personality, {0xffffffff}), SECCOMP_RET_ALLOW);
  EXPECT_EQ(machine.answer(SYS_personality, {8}), kEperm);
}

TEST(ProfileFile, RubbishAboveTheKernels32BitsDeceivesNobody) {
  const FilterMachine machine = compiled(kDockerLike);
  EXPECT_EQ(machine.answer(SYS_socket, {AF_INET}), SECCOMP_RET_ALLOW);
  EXPECT_EQ(machine.answer(SYS_socket, {40}), kEperm);
  EXPECT_EQ(machine.answer(SYS_socket, {40 | std::uint64_t{1} << 32}), kEperm);
}

TEST(ProfileFile, OtherArchitecturesHaveTheirOwnNumbers) {
  const FilterMachine machine = compiled(kDockerLike);
  EXPECT_EQ(machine.answer(3, {}, AUDIT_ARCH_I386), SECCOMP_RET_ALLOW) << "read";
  EXPECT_EQ(machine.answer(102, {}, AUDIT_ARCH_I386), SECCOMP_RET_ALLOW) << "socketcall";
  EXPECT_EQ(machine.answer(369, {}, AUDIT_ARCH_I386), SECCOMP_RET_ALLOW) << "sendto";
  EXPECT_EQ(machine.answer(395, {}, AUDIT_ARCH_I386), SECCOMP_RET_ALLOW) << "shmget";
  EXPECT_EQ(machine.answer(462, {}, AUDIT_ARCH_I386), SECCOMP_RET_ALLOW) << "mseal";
  EXPECT_EQ(machine.answer(359, {40}, AUDIT_ARCH_I386), kEperm) << "socket";
  EXPECT_EQ(machine.answer(21, {}, AUDIT_ARCH_I386), kEperm) << "mount";
  EXPECT_EQ(machine.answer(0x40000000), SECCOMP_RET_ALLOW) << "x32 read";
  EXPECT_EQ(machine.answer(0x40000000 + 165), kEperm) << "x32 mount";
  EXPECT_EQ(machine.answer(0, {}, AUDIT_ARCH_AARCH64), SECCOMP_RET_KILL_PROCESS);
  const FilterMachine native = compiled(R"({"defaultAction": "SCMP_ACT_ALLOW"})");
  EXPECT_EQ(native.answer(3, {}, AUDIT_ARCH_I386), SECCOMP_RET_KILL_PROCESS) << "only what is named";
  EXPECT_EQ(native.answer(0x40000000), SECCOMP_RET_KILL_PROCESS);
  const FilterMachine listed =
      compiled(R"({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]})");
  EXPECT_EQ(listed.answer(3, {}, AUDIT_ARCH_I386), SECCOMP_RET_ALLOW);
}

TEST(ProfileFile, CapabilitiesAndKernelsChooseEntries) {
  const FilterMachine admin = compiled(kDockerLike, {std::uint64_t{1} << CAP_SYS_ADMIN, {6, 1}});
  EXPECT_EQ(admin.answer(SYS_mount), SECCOMP_RET_ALLOW);
  EXPECT_EQ(admin.answer(SYS_clone, {17}), kEperm) << "excluded";
  const FilterMachine old = compiled(kDockerLike, {0, {4, 7}});
  EXPECT_EQ(old.answer(SYS_ptrace), kEperm);
  EXPECT_EQ(compiled(kDockerLike, {0, {4, 8}}).answer(SYS_ptrace), SECCOMP_RET_ALLOW);
  EXPECT_EQ(compiled(kDockerLike, {0, {10, 0}}).answer(SYS_ptrace), SECCOMP_RET_ALLOW);
}

TEST(ProfileFile, ActionsAreTheKernels) {
  const FilterMachine machine = compiled(with_calls(
      R"({"name": "read", "action": "SCMP_ACT_KILL"}, {"name": "write", "action": "SCMP_ACT_KILL_PROCESS"},
         {"name": "open", "action": "SCMP_ACT_TRAP"}, {"name": "close", "action": "SCMP_ACT_LOG"},
         {"name": "stat", "action": "SCMP_ACT_ERRNO", "errnoRet": 2}, {"name": "poll", "action": "SCMP_ACT_TRACE"})"));
  EXPECT_EQ(machine.answer(SYS_read), SECCOMP_RET_KILL_THREAD);
  EXPECT_EQ(machine.answer(SYS_write), SECCOMP_RET_KILL_PROCESS);
  EXPECT_EQ(machine.answer(SYS_open), SECCOMP_RET_TRAP);
  EXPECT_EQ(machine.answer(SYS_close), SECCOMP_RET_LOG);
  EXPECT_EQ(machine.answer(SYS_stat), refuse_with(ENOENT));
  EXPECT_EQ(machine.answer(SYS_poll), SECCOMP_RET_TRACE | EPERM);
  EXPECT_EQ(machine.answer(SYS_ioctl), SECCOMP_RET_ALLOW);
}

TEST(ProfileFile, RulesWithArgumentsComeFirstAndSeveralTestsOfOneArgumentAreAlternatives) {
  const FilterMachine machine = compiled(with_calls(
      R"({"names": ["prctl"], "action": "SCMP_ACT_ERRNO"},
         {"names": ["prctl"], "action": "SCMP_ACT_ALLOW",
          "args": [{"index": 0, "value": 15, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 16, "op": "SCMP_CMP_EQ"}]},
         {"names": ["lseek"], "action": "SCMP_ACT_ERRNO",
          "args": [{"index": 1, "value": 4294967296, "op": "SCMP_CMP_GE"}, {"index": 2, "value": 0, "op": "SCMP_CMP_EQ"}]})"));
  EXPECT_EQ(machine.answer(SYS_prctl, {15}), SECCOMP_RET_ALLOW);
  EXPECT_EQ(machine.answer(SYS_prctl, {16}), SECCOMP_RET_ALLOW);
  EXPECT_EQ(machine.answer(SYS_prctl, {17}), kEperm);
  EXPECT_EQ(machine.answer(SYS_lseek, {0, std::uint64_t{1} << 32, 0}), kEperm);
  EXPECT_EQ(machine.answer(SYS_lseek, {0, std::uint64_t{1} << 32, 1}), SECCOMP_RET_ALLOW);
  EXPECT_EQ(machine.answer(SYS_lseek, {0, 5, 0}), SECCOMP_RET_ALLOW);
}

TEST(ProfileFile, ComplaintsNameThePlace) {
  EXPECT_THAT(complaint("{\"defaultAction\":\n  }"), HasSubstr("line 2"));
  EXPECT_THAT(complaint("[]"), HasSubstr("a JSON object is expected"));
  EXPECT_THAT(complaint("{}"), HasSubstr("defaultAction: is missing"));
  EXPECT_THAT(complaint(R"({"defaultAction": 3})"), HasSubstr("defaultAction: a text is expected"));
  EXPECT_THAT(complaint(R"({"defaultAction": "ALLOW"})"), HasSubstr("'ALLOW' is not one of SCMP_ACT_ALLOW, "));
  EXPECT_THAT(complaint(R"({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 70000})"),
              HasSubstr("defaultErrnoRet: a whole number from 0 to 4095"));
  EXPECT_THAT(complaint(R"({"defaultAction": "SCMP_ACT_ALLOW", "syscals": []})"), HasSubstr("unknown key 'syscals'"));
  EXPECT_THAT(complaint(R"({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/x"})"),
              HasSubstr("listenerPath: is not supported"));
  EXPECT_THAT(complaint(R"({"defaultAction": "SCMP_ACT_ALLOW", "archMap": [{}]})"),
              HasSubstr("archMap[0].architecture: is missing"));
  EXPECT_THAT(complaint(R"({"defaultAction": "SCMP_ACT_ALLOW", "archMap": [], "architectures": ["SCMP_ARCH_X86"]})"),
              HasSubstr("archMap: stands beside 'architectures'"));
  EXPECT_THAT(complaint(with_calls("3")), HasSubstr("syscalls[0]: a JSON object is expected"));
  EXPECT_THAT(complaint(with_calls(R"({"action": "SCMP_ACT_ERRNO"})")), HasSubstr("syscalls[0].names: is missing"));
  EXPECT_THAT(complaint(with_calls(R"({"names": ["read", 4], "action": "SCMP_ACT_ERRNO"})")),
              HasSubstr("syscalls[0].names[1]: a text is expected"));
  EXPECT_THAT(complaint(with_calls(R"({"name": "read", "action": "SCMP_ACT_NOTIFY"})")),
              HasSubstr("syscalls[0].action: 'SCMP_ACT_NOTIFY' is not one of"));
  EXPECT_THAT(complaint(with_calls(R"({"name": "mout", "action": "SCMP_ACT_ERRNO"})")),
              HasSubstr("there is no system call 'mout'"))
      << "a hole, if nobody said so";
  EXPECT_THAT(complaint(with_calls(R"({"name": "read", "action": "SCMP_ACT_ERRNO", "when": 1})")),
              HasSubstr("syscalls[0]: unknown key 'when'"));
}

TEST(ProfileFile, ComplaintsAboutArgumentsNameThePlace) {
  const auto with_test = [](const std::string& test) {
    return complaint(with_calls(R"({"name": "read", "action": "SCMP_ACT_ERRNO", "args": [)" + test + "]}"));
  };
  EXPECT_THAT(with_test(R"({"value": 1, "op": "SCMP_CMP_EQ"})"), HasSubstr("syscalls[0].args[0].index: is missing"));
  EXPECT_THAT(with_test(R"({"index": 6, "value": 1, "op": "SCMP_CMP_EQ"})"),
              HasSubstr("syscalls[0].args[0].index: a whole number from 0 to 5"));
  EXPECT_THAT(with_test(R"({"index": 0, "value": -1, "op": "SCMP_CMP_EQ"})"),
              HasSubstr("args[0].value: a whole number"));
  EXPECT_THAT(with_test(R"({"index": 0, "value": 1.5, "op": "SCMP_CMP_EQ"})"),
              HasSubstr("args[0].value: a whole number"));
  EXPECT_THAT(with_test(R"({"index": 0, "value": 1, "op": "=="})"), HasSubstr("args[0].op: '==' is not SCMP_CMP_"));
  EXPECT_THAT(with_test(R"({"index": 0, "value": 1, "valueTwo": 2, "op": "SCMP_CMP_MASKED_EQ"})"),
              HasSubstr("args[0].valueTwo: has bits outside the mask"));
  const auto with_includes = [](const std::string& includes) {
    return complaint(with_calls(R"({"name": "read", "action": "SCMP_ACT_ERRNO", "includes": )" + includes + "}"));
  };
  EXPECT_THAT(with_includes(R"({"caps": ["CAP_FLY"]})"),
              HasSubstr("syscalls[0].includes.caps: 'CAP_FLY' is no capability"));
  EXPECT_THAT(with_includes(R"({"minKernel": "new"})"),
              HasSubstr("syscalls[0].includes.minKernel: 'new' is no version"));
  EXPECT_THAT(with_includes(R"({"os": "linux"})"), HasSubstr("syscalls[0].includes: unknown key 'os'"));
}

TEST(ProfileFile, IsReadFromItsPath) {
  const TempFolder folder;
  ASSERT_TRUE(replace_file(folder / "profile.json", kDockerLike));
  const auto filter = compile_seccomp(folder / "profile.json");
  ASSERT_TRUE(filter) << filter.error().message();
  EXPECT_EQ(FilterMachine(*filter).answer(SYS_read), SECCOMP_RET_ALLOW);
  ASSERT_TRUE(replace_file(folder / "profile.json", "{"));
  EXPECT_THAT(compile_seccomp(folder / "profile.json").error().message(),
              ::testing::StartsWith("seccomp profile " + folder.path() + "/profile.json: not JSON: "));
}

}  // namespace
}  // namespace dewar
