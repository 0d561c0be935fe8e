// What ended one run: from a code, the last words of a shell, and what the kernel says.
#include "thermos/explain/death.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>

namespace dewar {
namespace {

Death of_code(int code, const std::string& stderr_tail = "") {
  ExitFacts facts;
  facts.return_code = code;
  facts.stderr_tail = stderr_tail;
  facts.path = "/usr/bin:/bin";
  return explain_exit(facts);
}

TEST(Death, APlainExitIsToldByItsStatus) {
  EXPECT_EQ(of_code(0).cause, Cause::kNone);
  EXPECT_EQ(of_code(0).words, "");
  EXPECT_EQ(of_code(3).cause, Cause::kExit);
  EXPECT_EQ(of_code(3).words, "exit status 3");
}

TEST(Death, TheCommandThatWasNotFoundIsNamed) {
  const Death death = of_code(127, "starting\n/bin/bash: line 2: frobnicate: command not found\n");
  EXPECT_EQ(death.cause, Cause::kCommandNotFound);
  EXPECT_EQ(death.words, "exit status 127: command not found: frobnicate");
  EXPECT_EQ(death.details.at("command"), "frobnicate");
  EXPECT_EQ(death.details.at("path"), "/usr/bin:/bin");
  EXPECT_EQ(of_code(127).words, "exit status 127: command not found") << "no shell said which";
}

TEST(Death, EveryShellsWordsAreUnderstood) {
  EXPECT_EQ(command_in("sh: 1: frob: not found\n"), "frob");
  EXPECT_EQ(command_in("env: ‘frob’: No such file or directory\n"), "frob");
  EXPECT_EQ(command_in("/bin/bash: line 1: exec: frob: not found"), "frob");
  EXPECT_EQ(command_in("/bin/bash: line 1: ./x: /no/such: bad interpreter: No such file or directory\n"), "./x");
  EXPECT_EQ(command_in("/bin/bash: line 1: ./x: cannot execute: required file not found\n"), "./x");
  EXPECT_EQ(command_in("/bin/bash: line 1: a: command not found\nb\nc\n"), "a") << "other words may follow";
  EXPECT_EQ(command_in("all is well\n"), "");
  EXPECT_EQ(command_in(""), "");
}

TEST(Death, AFileThatCannotBeExecutedIsNamed) {
  const Death death = of_code(126, "/bin/bash: line 1: ./run.sh: Permission denied\n");
  EXPECT_EQ(death.cause, Cause::kNotExecutable);
  EXPECT_EQ(death.words, "exit status 126: command cannot be executed: ./run.sh");
}

TEST(Death, WhatATaskWritesCannotSteerARecord) {
  const Death death = of_code(127, "bash: \x1b[31m\x07x: command not found\n");
  EXPECT_EQ(death.words, "exit status 127: command not found: ?[31m?x");
  const Death longest = of_code(127, "bash: " + std::string(5000, 'x') + ": command not found\n");
  EXPECT_LE(longest.words.size(), 160u);
}

TEST(Death, ACrashTellsWhereWhenTheKernelDoes) {
  ExitFacts facts;
  facts.return_code = -SIGSEGV;
  facts.core_dumped = true;
  facts.fault =
      read_fault("app[712]: segfault at 1234 ip 0000560975949132 sp 00007fff8c60d700 error 6 in libx.so[1,2+3]");
  const Death death = explain_exit(facts);
  EXPECT_EQ(death.cause, Cause::kCrash);
  EXPECT_EQ(death.words, "killed by SIGSEGV (11), a bad access to address 0x1234 in libx.so; core dumped");
  EXPECT_EQ(of_code(-SIGSEGV).words, "killed by SIGSEGV (11)");
  EXPECT_EQ(of_code(-SIGSEGV).cause, Cause::kCrash);
  EXPECT_EQ(of_code(128 + SIGSEGV).cause, Cause::kCrash) << "a shell's child";
  EXPECT_EQ(of_code(-SIGABRT).words, "killed by SIGABRT (6): it gave up by itself (abort)");
}

TEST(Death, AForbiddenSystemCallIsNamed) {
  ExitFacts facts;
  facts.return_code = -SIGSYS;
  EXPECT_EQ(explain_exit(facts).words, "killed by SIGSYS (31): its filter forbids a system call that it made");
  facts.forbidden_call = 170;
  EXPECT_EQ(explain_exit(facts).words, "killed by SIGSYS (31): its filter forbids system call 170");
  facts.forbidden_name = "sethostname";
  const Death death = explain_exit(facts);
  EXPECT_EQ(death.cause, Cause::kSystemCall);
  EXPECT_EQ(death.words, "killed by SIGSYS (31): its filter forbids the system call sethostname");
  EXPECT_EQ(death.details.at("system_call"), "sethostname");
}

TEST(Death, RlimitsAreToldByTheirSignals) {
  ExitFacts facts;
  facts.rlimits = {{RLIMIT_CPU, 2, 3}, {RLIMIT_FSIZE, 4096, 4096}};
  facts.return_code = -SIGXCPU;
  EXPECT_EQ(explain_exit(facts).cause, Cause::kCpuTime);
  EXPECT_EQ(explain_exit(facts).words, "killed by SIGXCPU (24): it used up its 2 seconds of CPU time (rlimit cpu)");
  facts.return_code = 128 + SIGXFSZ;
  EXPECT_EQ(explain_exit(facts).cause, Cause::kFileSize);
  EXPECT_EQ(explain_exit(facts).words,
            "exit status 153 (from a shell: SIGXFSZ): it wrote a file larger than 4.0 KB (rlimit fsize)");
}

TEST(Death, ForWantOfMemoryOnlyWhenTheKernelHasKilledThisProcess) {
  ExitFacts facts;
  facts.oom_killed = true;
  facts.memory_limit = 64u << 20;
  facts.return_code = -SIGKILL;
  EXPECT_EQ(explain_exit(facts).words, "killed for want of memory (the task's limit is 64.0 MB)");
  EXPECT_EQ(explain_exit(facts).cause, Cause::kMemory);
  facts.return_code = 1;  // a child was the victim
  EXPECT_EQ(explain_exit(facts).cause, Cause::kExit);
}

TEST(Death, AFetchIsToldInTheFetchersWords) {
  ExitFacts facts;
  facts.return_code = 1;
  facts.fetch_failure = "http://x/a.tgz: the server answered 404 Not Found";
  EXPECT_EQ(explain_exit(facts).cause, Cause::kFetch);
  EXPECT_EQ(explain_exit(facts).words, facts.fetch_failure);
}

TEST(Death, EveryCauseHasANameThatLeadsBack) {
  for (int number = 0; number <= static_cast<int>(Cause::kWaiting); ++number) {
    const auto cause = static_cast<Cause>(number);
    EXPECT_EQ(cause_of(to_string(cause)), cause) << number;
  }
  EXPECT_EQ(cause_of("nonsense"), Cause::kNone);
}

TEST(KernelLog, LinesAboutFaultsAreRead) {
  const auto trap = read_fault("traps: app[99] trap divide error ip:55d0 sp:7ffd error:0 in app[55d0+1000]");
  ASSERT_TRUE(trap);
  EXPECT_EQ(trap->pid, 99);
  EXPECT_EQ(trap->fault, "trap divide error");
  EXPECT_EQ(trap->object, "app");
  EXPECT_EQ(trap->address, "");
  const auto liar = read_fault("x[1]: segfa[99]: segfault at 0 ip 0 sp 0 error 4");
  ASSERT_TRUE(liar);
  EXPECT_EQ(liar->pid, 99) << "a process chooses its own name";
  for (const char* line : {"", "traps: ", "x: segfault at 0", "[]: segfault at 1 ip", "traps: x[a] y", "eth0: link up"})
    EXPECT_FALSE(read_fault(line)) << line;
}

TEST(KernelLog, LinesAboutForbiddenCallsAreRead) {
  const auto call = read_forbidden_call(
      "audit: type=1326 audit(1795689693.778:2): auid=4294967295 uid=0 gid=0 ses=4294967295 pid=12341 comm=\"x\" "
      "exe=\"/tmp/x pid=7 syscall=1\" sig=31 arch=c000003e syscall=170 compat=0 ip=0x7f274989d829 code=0x80000000");
  ASSERT_TRUE(call);
  EXPECT_EQ(call->pid, 12341);
  EXPECT_EQ(call->number, 170);
  EXPECT_FALSE(read_forbidden_call("audit: type=1326 pid=1 sig=0 syscall=170 code=0x7ffc0000")) << "only logged";
  EXPECT_FALSE(read_forbidden_call("audit: type=1400 pid=1 sig=31 syscall=170"));
}

TEST(OneLine, SaysWhenItIsNotAllOfIt) {
  EXPECT_EQ(one_line("frobnicate", 10), "frobnicate");
  EXPECT_EQ(one_line("frobnicate it", 10), "frobnic...");
  EXPECT_EQ(one_line("a\nb\xff", 10), "a?b?");
  EXPECT_EQ(one_line("日本語日本語", 10), "日本...") << "no half characters";
  EXPECT_EQ(one_line("long", 2), "..");
  EXPECT_EQ(command_in("bash: line 1: /opt/" + std::string(80, 'x') + ": No such file or directory\n"),
            "/opt/" + std::string(52, 'x') + "...");
}

}  // namespace
}  // namespace dewar
