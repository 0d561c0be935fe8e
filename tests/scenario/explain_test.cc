// Every kind of end, brought about on the real kernel: the sentence says what it was.
#include "thermos/explain/explain.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>

#include "base/cgroup_members.h"
#include "base/files.h"
#include "base/process.h"
#include "isolation/kernel_log.h"
#include "tests/scenario/task_run.h"
#include "thermos/checkpoint.h"
#include "thermos/explain/gather.h"

namespace dewar {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::StartsWith;

Evidence evidence_of(const TaskRun& task) {
  auto evidence = gather_evidence(task.spec().run_folder);
  EXPECT_TRUE(evidence) << evidence.error().message();
  return evidence ? std::move(evidence).take() : Evidence{};
}

Explanation of_task(const TaskRun& task) { return explain_task(evidence_of(task)); }
Explanation of_process(const TaskRun& task, const std::string& process, std::optional<int> run = {}) {
  return explain_process(evidence_of(task), process, run);
}

/// The explanation of process `p` of a task that was run to its end.
Explanation end_of(const std::string& cmdline, const std::string& more = "") {
  TaskRun task("name: t\n" + more + "processes:\n  - name: p\n    cmdline: |\n      " + cmdline + "\n");
  task.run();
  Explanation told = of_process(task, "p");
  const Explanation whole = of_task(task);
  EXPECT_THAT(whole.sentence, StartsWith("task FAILED: p failed: "));
  return told;
}

std::string rows_of(const Explanation& told) {
  std::string text;
  for (const Card& card : told.cards) {
    text += "[" + card.title + "]\n";
    for (const auto& [name, value] : card.rows) text += name + "=" + value + "\n";
    for (const std::string& line : card.lines) text += line + "\n";
  }
  return text;
}

// covers: cause exit
TEST(Explain, AnExitStatus) {
  const Explanation told = end_of("echo 'no such question' >&2; exit 3");
  EXPECT_EQ(told.sentence, "task/p#0 FAILED: exit status 3");
  EXPECT_EQ(told.cause, Cause::kExit);
  EXPECT_THAT(rows_of(told), HasSubstr("[Last lines of stderr of p#0]\nno such question\n"));
}

// covers: cause command-not-found
TEST(Explain, ACommandThatIsNotThere) {
  const Explanation told = end_of("frobnicate --all");
  EXPECT_EQ(told.sentence, "task/p#0 FAILED: exit status 127: command not found: frobnicate");
  EXPECT_EQ(told.cause, Cause::kCommandNotFound);
  EXPECT_THAT(rows_of(told), HasSubstr("command=frobnicate\nPATH=/"));
}

// covers: cause not-executable
TEST(Explain, AFileThatIsNoProgram) {
  const Explanation told = end_of("touch x; ./x");
  EXPECT_EQ(told.sentence, "task/p#0 FAILED: exit status 126: command cannot be executed: ./x");
  EXPECT_EQ(told.cause, Cause::kNotExecutable);
}

// covers: cause crash
TEST(Explain, ACrashWithItsAddress) {
  // A signal makes a run neither good nor bad, so it would run again: the second run ends the task.
  TaskRun task(R"yaml(
name: t
processes:
  - name: p
    min_duration: 0
    cmdline: |
      [ -e once ] && exit 0; touch once
      exec python3 -c 'import ctypes; ctypes.string_at(0x1234)'
)yaml");
  task.run();
  const Explanation told = of_process(task, "p", 0);
  EXPECT_EQ(told.cause, Cause::kCrash);
  if (!read_kernel_log()) GTEST_SKIP() << "the kernel's log cannot be read here";
  EXPECT_THAT(told.sentence, StartsWith("task/p#0 KILLED: killed by SIGSEGV (11), a bad access to address 0x1234 in "));
}

// covers: cause system-call
TEST(Explain, AForbiddenSystemCallByItsName) {
  const TempFolder folder;
  ASSERT_TRUE(replace_file(folder / "profile.json",
                           R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["sethostname"],)"
                           R"( "action": "SCMP_ACT_KILL_PROCESS"}]})"));
  TaskRun task("name: t\nsandbox: {seccomp: " + (folder / "profile.json") + R"yaml(}
processes:
  - name: p
    min_duration: 0
    cmdline: |
      [ -e once ] && exit 0; touch once
      exec python3 -c 'import socket; socket.sethostname("x")'
)yaml");
  task.run();
  const Explanation told = of_process(task, "p", 0);
  EXPECT_EQ(told.cause, Cause::kSystemCall);
  if (!read_kernel_log()) GTEST_SKIP() << "the kernel's log cannot be read here";
  EXPECT_EQ(told.sentence, "task/p#0 KILLED: killed by SIGSYS (31): its filter forbids the system call sethostname");
  EXPECT_THAT(rows_of(told), HasSubstr("sent by=the kernel\n"));
}

// covers: cause signal
TEST(Explain, ASignalOfAStrangers) {
  TaskRun task("name: t\nprocesses: [{name: p, cmdline: 'exec sleep 0.5', min_duration: 0}]\n");
  task.start();
  ASSERT_EQ(::kill(*task.wait_running("p").processes.at("p").back().pid, SIGKILL), 0);
  task.wait_end();
  const Explanation told = of_process(task, "p", 0);
  EXPECT_EQ(told.sentence, "task/p#0 KILLED: killed by SIGKILL (9)");
  EXPECT_EQ(told.cause, Cause::kSignal);
  EXPECT_THAT(rows_of(told), HasSubstr("sent by=not told by the kernel; not Dewar\n"));
}

// covers: cause broken-pipe, cause file-size, cause cpu-time
TEST(Explain, SignalsThatTheKernelSendsForAReason) {
  const Explanation pipe = end_of("bash -c 'kill -PIPE $$'; exit $?");
  EXPECT_EQ(pipe.sentence, "task/p#0 FAILED: exit status 141 (from a shell: SIGPIPE): nobody read what it wrote");
  EXPECT_EQ(pipe.cause, Cause::kBrokenPipe);
  const Explanation size = end_of("head -c 8192 /dev/zero > file; exit $?", "sandbox: {rlimits: {fsize: 4096}}\n");
  EXPECT_EQ(size.sentence,
            "task/p#0 FAILED: exit status 153 (from a shell: SIGXFSZ): it wrote a file larger than 4.0 KB (rlimit "
            "fsize)");
  EXPECT_EQ(size.cause, Cause::kFileSize);
  const Explanation time = end_of("bash -c 'while :; do :; done'; exit $?", "sandbox: {rlimits: {cpu: [1, 2]}}\n");
  EXPECT_EQ(time.sentence,
            "task/p#0 FAILED: exit status 152 (from a shell: SIGXCPU): it used up its 1 seconds of CPU time (rlimit "
            "cpu)");
  EXPECT_EQ(time.cause, Cause::kCpuTime);
}

// covers: cause memory, cause stopped
TEST(Explain, OutOfMemoryTheVictimAndWhoWasEndedWithIt) {
  TaskRun task(R"yaml(
name: t
resources: {cpu: 1, ram: 64MB, disk: 64MB}
processes:
  - {name: hog, cmdline: 'exec python3 -c "x = bytearray(256 << 20)"', min_duration: 0}
  - {name: bystander, cmdline: 'sleep 60'}
)yaml");
  task.run();
  const Explanation told = of_task(task);
  EXPECT_EQ(told.cause, Cause::kMemory);
  EXPECT_THAT(told.sentence, StartsWith("task FAILED: the memory limit of 64.0 MB was reached and the kernel killed "));
  EXPECT_THAT(told.sentence, HasSubstr(" in hog"));
  EXPECT_THAT(rows_of(told), HasSubstr("[Memory]\nlimit met="));
  EXPECT_THAT(rows_of(told), HasSubstr("limit=64.0 MB\n"));
  EXPECT_THAT(told.advice, ElementsAre(HasSubstr("resources.ram")));
  if (read_kernel_log()) {
    EXPECT_THAT(rows_of(told), HasSubstr("limit met=of the task\n"));
    EXPECT_THAT(rows_of(told), HasSubstr("killed=python3 (pid "));
    EXPECT_THAT(rows_of(told), HasSubstr("biggest="));
  }
  const Explanation hog = of_process(task, "hog");
  EXPECT_EQ(hog.sentence, "task/hog#0 KILLED: killed for want of memory (the task's limit is 64.0 MB)");
  EXPECT_EQ(hog.cause, Cause::kMemory);
  const Explanation other = of_process(task, "bystander");
  // cgroup2 kills the whole group together; v1 the victim alone, and the runner stops the others.
  EXPECT_THAT(other.cause, ::testing::AnyOf(Cause::kStopped, Cause::kMemory));
  EXPECT_THAT(other.chain, ElementsAre(HasSubstr("the task ended: the memory limit of 64.0 MB")));
}

// covers: cause disk
TEST(Explain, ADiskThatIsFullWithItsBiggestFolder) {
  TaskRun task(R"yaml(
name: t
resources: {cpu: 1, ram: 64MB, disk: 1MB}
processes: [{name: p, cmdline: 'mkdir data; head -c 4M /dev/zero > data/blob && sleep 60'}]
)yaml");
  task.run();
  const Explanation told = of_task(task);
  if (told.cause == Cause::kProcesses) {  // a quota: writing fails
    EXPECT_EQ(of_process(task, "p").sentence, "task/p#0 FAILED: exit status 1");
  } else {
    EXPECT_EQ(told.cause, Cause::kDisk);
    EXPECT_THAT(told.sentence, StartsWith("task FAILED: the sandbox holds 4.0 MB in "));
    EXPECT_THAT(told.sentence, HasSubstr("more than its disk limit of 1.0 MB"));
  }
  EXPECT_THAT(rows_of(told), HasSubstr("[Disk]\nlimit=1.0 MB\n"));
  EXPECT_THAT(rows_of(told), HasSubstr("  data\n"));
}

// covers: cause pids
TEST(Explain, ForksThatWereRefused) {
  TaskRun task(
      "name: t\nsandbox: {pids: 8}\nprocesses: [{name: p, cmdline: 'for i in $(seq 20); do sleep 0.2 & done; wait; "
      "exit 4'}]\n");
  task.run();
  EXPECT_THAT(rows_of(of_task(task)), HasSubstr("[Processes and threads]\nlimit=8\nforks refused="));
  EXPECT_THAT(of_process(task, "p").sentence, StartsWith("task/p#0 FAILED: exit status "));
}

// covers: cause time-limit
TEST(Explain, ARunThatTookTooLongIsStoppedAndHasFailed) {
  TaskRun task(R"yaml(
name: t
finalization_wait: 1s
processes:
  - {name: p, cmdline: 'sleep 60', time_limit: 500ms, max_failures: 2, min_duration: 0}
  - {name: deaf, cmdline: 'trap "" TERM; while :; do sleep 0.1; done', time_limit: 500ms}
  - {name: quick, cmdline: 'trap "exit 0" TERM; while :; do sleep 0.1; done', time_limit: 500ms}
max_failures: 0
)yaml");
  const TaskHistory end = task.run();
  EXPECT_EQ(runs_of(end, "p"), "FAILED FAILED") << "it is tried again";
  EXPECT_EQ(runs_of(end, "deaf"), "FAILED");
  EXPECT_EQ(runs_of(end, "quick"), "FAILED") << "whatever its exit status";
  const Explanation told = of_process(task, "p");
  EXPECT_EQ(told.sentence, "task/p#1 FAILED: ran longer than its time limit of 500ms; killed by SIGTERM (15)");
  EXPECT_EQ(told.cause, Cause::kTime);
  EXPECT_THAT(rows_of(told), HasSubstr("time limit=500ms\n"));
  EXPECT_EQ(of_process(task, "deaf").sentence,
            "task/deaf#0 FAILED: ran longer than its time limit of 500ms; killed by SIGKILL (9)");
  EXPECT_EQ(of_process(task, "quick").sentence,
            "task/quick#0 FAILED: ran longer than its time limit of 500ms; exit status 0");
}

// covers: cause time-limit
TEST(Explain, ATaskThatTookTooLongIsStoppedWithItsFinalizers) {
  TaskRun task(R"yaml(
name: t
time_limit: 1s
processes: [{name: p, cmdline: 'exec sleep 60'}, {name: last, cmdline: 'true', final: true}]
)yaml");
  const TaskHistory end = task.run();
  EXPECT_EQ(states_of(end), "ACTIVE CLEANING FINALIZING FAILED");
  EXPECT_EQ(runs_of(end, "last"), "SUCCESS");
  const Explanation told = of_task(task);
  EXPECT_EQ(told.sentence, "task FAILED: the task ran longer than its time limit of 1.0s");
  EXPECT_EQ(told.cause, Cause::kTime);
  EXPECT_EQ(of_process(task, "p").cause, Cause::kStopped);
}

// covers: cause time-limit
TEST(Explain, ATimeLimitOutlivesTheRunner) {
  TaskRun task("name: t\nprocesses: [{name: p, cmdline: 'exec sleep 60', time_limit: 2s}]\n");
  task.start();
  task.wait_running("p");
  ASSERT_EQ(::kill(task.runner_pid(), SIGKILL), 0);
  EXPECT_EQ(task.wait_exit(), -SIGKILL);
  task.start();
  const TaskHistory end = task.wait_end();
  EXPECT_EQ(runs_of(end, "p"), "FAILED");
  const RunHistory& run = end.processes.at("p").back();
  EXPECT_GE(*run.stop_time - *run.start_time, 1.9) << "counted from the start of the run";
  EXPECT_EQ(of_process(task, "p").cause, Cause::kTime);
}

// covers: cause launch
TEST(Explain, AStepBeforeExecThatFailed) {
  TaskRun::Options options;
  options.change = [](RunnerSpec& spec) { spec.seccomp = "not a filter"; };
  TaskRun task("name: t\nprocesses: [{name: web, cmdline: 'true'}]\n", options);
  task.run();
  const Explanation told = of_process(task, "web");
  EXPECT_EQ(told.cause, Cause::kLaunch);
  EXPECT_THAT(told.sentence, StartsWith("task/web#0 FAILED: process 'web': step seccomp: "));
}

// covers: cause launcher-lost
TEST(Explain, ALauncherThatDied) {
  TaskRun task(
      "name: t\nprocesses: [{name: p, cmdline: 'test -e once && exit 0; touch once; sleep 60', min_duration: 0}]\n");
  task.start();
  const TaskHistory running = task.wait_running("p");
  task.wait_file("once");
  ASSERT_EQ(::kill(*running.processes.at("p").back().coordinator_pid, SIGKILL), 0);
  task.wait_end();
  const Explanation told = of_process(task, "p", 0);
  EXPECT_EQ(told.cause, Cause::kLauncherLost);
  EXPECT_THAT(told.sentence, MatchesRegex("task/p#0 LOST: its launcher \\(pid [0-9]+\\) died, so how it ended is not "
                                          "known; what was left of it was killed"));
}

// covers: cause sandbox-lost
TEST(Explain, ASandboxWhoseFirstProcessDied) {
  TaskRun task("name: t\nprocesses: [{name: p, cmdline: 'sleep 60'}]\n");
  task.start();
  task.wait_running("p");
  auto container = Container::adopt(container_of(task.spec()));
  ASSERT_TRUE(container);
  ASSERT_TRUE(send_signal(container->init(), SIGKILL));
  task.wait_end();
  const Explanation told = of_task(task);
  EXPECT_EQ(told.cause, Cause::kSandboxLost);
  EXPECT_THAT(told.sentence, StartsWith("task LOST: the sandbox's first process (pid "));
}

// covers: cause cgroup-removed
TEST(Explain, AGroupThatSomebodyRemoved) {
  TaskRun task("name: t\nsandbox: {pids: 50}\nprocesses: [{name: p, cmdline: 'exec sleep 60'}]\n");
  task.start();
  task.wait_running("p");
  const auto pids = task.spec().cgroups.v1.find("pids");
  if (pids == task.spec().cgroups.v1.end()) {
    ASSERT_TRUE(task.client().kill(Duration{0}));
    task.wait_end();
    GTEST_SKIP() << "on cgroup2 the one group holds every process of the task, and the kernel keeps it";
  }
  const std::string folder = pids->second + "/" + task.spec().container_id;
  const auto away = open_file(pids->second + "/cgroup.procs", O_WRONLY);
  ASSERT_TRUE(away);
  while (::rmdir(folder.c_str()) != 0) {
    ASSERT_EQ(errno, EBUSY);
    for (const pid_t pid : *members(folder)) ::dprintf(away->get(), "%d", pid);
  }
  task.wait_end();
  const Explanation told = of_task(task);
  EXPECT_EQ(told.cause, Cause::kGroupGone);
  EXPECT_THAT(told.sentence, StartsWith("task FAILED: the task's cgroup /"));
}

// covers: cause request, cause not-started
TEST(Explain, WhoKilledItAndWhatWasNotStartedForThat) {
  TaskRun task(
      "name: t\nprocesses: [{name: p, cmdline: 'exec sleep 60'}, {name: q, cmdline: 'true'}]\norder: [p, q]\n");
  task.start();
  task.wait_running("p");
  ASSERT_TRUE(task.client().kill(std::chrono::seconds(20)));
  task.wait_end();
  const Explanation told = of_task(task);
  EXPECT_EQ(told.cause, Cause::kRequest);
  EXPECT_EQ(told.sentence,
            "task KILLED: killed on request by explain_scenari (pid " + std::to_string(::getpid()) + ", uid 0)");
  EXPECT_EQ(of_process(task, "p").sentence, "task/p#0 KILLED: ended by SIGTERM at the end of the task");
  EXPECT_EQ(of_process(task, "q").cause, Cause::kNotStarted);
  EXPECT_THAT(of_process(task, "q").sentence, StartsWith("task/q was not started: the task ended first: killed on "));
}

// covers: cause dependency, cause processes
TEST(Explain, TheChainOfCauses) {
  TaskRun task(R"yaml(
name: t
processes:
  - {name: fetchConfig, cmdline: 'exit 22', max_failures: 3, min_duration: 0}
  - {name: runService, cmdline: 'true'}
  - {name: report, cmdline: 'true'}
order: [fetchConfig, runService, report]
)yaml");
  task.run();
  EXPECT_EQ(of_task(task).sentence,
            "task FAILED: fetchConfig failed 3 of 3 times: exit status 22; runService and report were not started");
  EXPECT_EQ(of_task(task).cause, Cause::kProcesses);
  const Explanation told = of_process(task, "report");
  EXPECT_EQ(told.sentence, "task/report was not started: fetchConfig failed 3 of 3 times: exit status 22");
  EXPECT_EQ(told.cause, Cause::kDependency);
  EXPECT_THAT(told.chain, ElementsAre("runService was not started", "fetchConfig failed 3 of 3 times: exit status 22"));
}

// covers: cause running, cause waiting, cause runner-lost
TEST(Explain, ALivingTaskAndOneWhoseRunnerDied) {
  TaskRun task(R"yaml(
name: t
processes:
  - {name: fetchConfig, cmdline: 'test -e once && exec sleep 60; touch once; exit 22', max_failures: 3, min_duration: 0}
  - {name: runService, cmdline: 'true'}
order: [fetchConfig, runService]
)yaml");
  task.start();
  task.wait_running("fetchConfig", 1);
  EXPECT_THAT(of_process(task, "runService").sentence,
              StartsWith("task/runService waits for fetchConfig, which is in its run 2 of 3"));
  EXPECT_THAT(of_task(task).sentence, StartsWith("task is ACTIVE: fetchConfig is in its run 2 of 3"));
  EXPECT_EQ(of_process(task, "fetchConfig").cause, Cause::kGoingOn);
  ASSERT_EQ(::kill(task.runner_pid(), SIGKILL), 0);
  EXPECT_EQ(task.wait_exit(), -SIGKILL);
  EXPECT_EQ(of_task(task).cause, Cause::kRunnerLost);
  EXPECT_EQ(of_task(task).sentence, "task is ACTIVE, but its runner has died");
  task.start({"--kill"});
  task.wait_end();
}

// covers: cause host-lost
TEST(Explain, AHostThatWasStartedAnew) {
  // What a reboot leaves is made by hand: no process, no cgroup, a record of another boot.
  TaskRun task(
      "name: t\nprocesses: [{name: p, cmdline: 'test -e once && exit 0; touch once; sleep 60', min_duration: 0}]\n");
  task.start();
  const RunHistory run = task.wait_running("p").processes.at("p").back();
  task.wait_file("once");
  ASSERT_EQ(::kill(task.runner_pid(), SIGKILL), 0);
  task.wait_exit();
  const auto launcher = open_process({*run.coordinator_pid, *run.coordinator_start});
  ASSERT_TRUE(launcher);
  ASSERT_TRUE(send_signal(*launcher, SIGKILL));
  ASSERT_TRUE(Container::sweep(container_of(task.spec()), 5000));
  {
    auto checkpoint = Checkpoint::open(task.checkpoint_root(), "task", task.spec().task_json, false);
    ASSERT_TRUE(checkpoint) << checkpoint.error().message();
    TaskRecord record = checkpoint->history().statuses.back();
    record.boot_id = "another";
    ASSERT_TRUE(checkpoint->append(record));
  }
  EXPECT_EQ(of_task(task).sentence, "task is ACTIVE, but the host was started anew while it ran");
  task.start();
  EXPECT_EQ(runs_of(task.wait_end(), "p"), "LOST SUCCESS");
  const Explanation told = of_process(task, "p", 0);
  EXPECT_EQ(told.cause, Cause::kHostLost);
  EXPECT_EQ(told.sentence, "task/p#0 LOST: the host was started anew while it ran");
}

}  // namespace
}  // namespace dewar
