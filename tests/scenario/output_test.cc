// What processes write: every logger mode and destination; by number as in docs/scenarios.md.
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>

#include <functional>

#include "tests/scenario/task_run.h"
#include "tests/support/wait_in.h"

namespace dewar {
namespace {

std::uint64_t size_of(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? static_cast<std::uint64_t>(info.st_size) : ~0ull;
}

std::string logs(const TaskRun& task, const std::string& process) {
  return task.spec().run_folder + "/.logs/" + process + "/0";
}

TEST(Scenario, S62_TwoHundredMegabytesArriveWhole) {
  TaskRun task(R"yaml(
name: t
processes:
  - {name: out, cmdline: 'head -c 200M /dev/zero'}
  - {name: err, cmdline: 'head -c 200M /dev/zero >&2'}
)yaml");
  EXPECT_EQ(task.run().state(), TaskState::kSuccess);
  EXPECT_EQ(size_of(logs(task, "out") + "/stdout"), 200u << 20);
  EXPECT_EQ(size_of(logs(task, "out") + "/stderr"), 0u);
  EXPECT_EQ(size_of(logs(task, "err") + "/stdout"), 0u);
  EXPECT_EQ(size_of(logs(task, "err") + "/stderr"), 200u << 20);
  EXPECT_EQ(*list_dir(logs(task, "out")), (std::vector<std::string>{"index", "stderr", "stdout"}));
}

TEST(Scenario, S64_RotationKeepsFiveBackups) {
  TaskRun task(R"yaml(
name: t
processes:
  - {name: p, cmdline: 'head -c 700M /dev/zero', logger: {mode: rotate, rotate: {compress: false}}}
)yaml");
  EXPECT_EQ(task.run().state(), TaskState::kSuccess);
  EXPECT_EQ(*list_dir(logs(task, "p")), (std::vector<std::string>{"index", "stderr", "stdout", "stdout.1", "stdout.2",
                                                                  "stdout.3", "stdout.4", "stdout.5"}));
  for (const char* name : {"/stdout.1", "/stdout.5"}) {
    EXPECT_GE(size_of(logs(task, "p") + name), 100u << 20);
    EXPECT_LE(size_of(logs(task, "p") + name), (100u << 20) + (1u << 20)) << "at most one read more";
  }
}

TEST(Scenario, S66_NoneConsoleAndBoth) {
  TaskRun task(R"yaml(
name: t
processes:
  - {name: none, cmdline: 'echo secret', logger: {destination: none}}
  - {name: console, cmdline: 'echo on the console; echo to its error stream >&2', logger: {destination: console}}
  - {name: both, cmdline: 'echo here and there', logger: {destination: both}}
order: [none, console, both]
)yaml");
  task.run();
  EXPECT_TRUE(list_dir(logs(task, "none"))->empty());
  EXPECT_TRUE(list_dir(logs(task, "console"))->empty());
  EXPECT_EQ(task.output("both"), "here and there\n");
  EXPECT_EQ(*read_file(task.spec().run_folder + "/stdout"), "on the console\nhere and there\n");
  EXPECT_EQ(*read_file(task.spec().run_folder + "/stderr"), "to its error stream\n");
}

// Against Thermos's scenario 66, where they belong to the task's user: what was written is not the task's to change.
// covers: S17
TEST(Output, LogFilesBelongToRootAndAreReadOnlyInside) {
  TaskRun task(R"yaml(
name: t
processes:
  - {name: first, cmdline: 'echo kept'}
  - {name: second, cmdline: 'cat .logs/first/0/stdout; (echo x >> .logs/first/0/stdout) 2>&1; rm -rf .logs/first 2>&1; ls ../.logs'}
order: [first, second]
)yaml");
  task.run();
  struct stat info {};
  ASSERT_EQ(::stat((logs(task, "first") + "/stdout").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 0u);
  EXPECT_EQ(info.st_mode & 07777, 0644u);
  ASSERT_EQ(::stat(logs(task, "first").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 0u);
  EXPECT_EQ(info.st_mode & 07777, 0755u);
  EXPECT_EQ(task.output("first"), "kept\n");
  const std::string second = task.output("second");
  EXPECT_TRUE(second.starts_with("kept\n")) << second;
  EXPECT_NE(second.find("Read-only file system"), std::string::npos) << second;
  EXPECT_TRUE(second.ends_with("first\nsecond\n")) << second;
}

TEST(Output, TheLastLineOfADyingProcessIsThere) {
  TaskRun task(
      "name: t\nmax_failures: 0\nprocesses: [{name: p, cmdline: 'for i in $(seq 20000); do echo line $i; done; exit "
      "4'}]\n");
  task.run();
  EXPECT_TRUE(task.output("p").ends_with("line 19999\nline 20000\n"));
}

/// Stops a run's launcher, lets the process write "two" meanwhile, and kills the launcher: `before` is called in
/// between.
void kill_pump_with_full_hands(TaskRun& task, const std::function<void()>& before) {
  task.start();
  const pid_t launcher = *task.wait_running("p").processes.at("p").back().coordinator_pid;
  task.wait_file("up");
  ::kill(launcher, SIGSTOP);
  ASSERT_TRUE(replace_file(task.sandbox() + "/go", ""));
  task.wait_file("done");
  before();
  ::kill(launcher, SIGKILL);
  const TaskHistory end = task.wait_end();
  EXPECT_EQ(end.processes.at("p")[0].state, ProcessState::kLost);
  EXPECT_EQ(task.output("p"), "one\ntwo\n") << "it was in the pipe";
}

constexpr char kTwoLines[] = R"yaml(
name: t
processes:
  - name: p
    cmdline: |
      [ -e up ] && exit 0
      echo one; touch up
      until [ -e go ]; do sleep 0.02; done
      echo two; touch done; exec sleep 4713
    min_duration: 0
)yaml";

TEST(Output, WhatAKilledLauncherLeftInThePipeIsKept) {
  TaskRun task(kTwoLines);
  kill_pump_with_full_hands(task, [] {});
}

TEST(Output, WhatAKilledLauncherLeftIsKeptByARunnerThatTookOver) {
  TaskRun task(kTwoLines);
  kill_pump_with_full_hands(task, [&] {
    ::kill(task.runner_pid(), SIGKILL);
    EXPECT_EQ(task.wait_exit(), -SIGKILL);
    task.start();
    const auto taken_over = [&] { return task.runner_log().find("took over p#0") != std::string::npos; };
    EXPECT_TRUE(wait_in(task.spec().run_folder, taken_over));
  });
}

TEST(Output, WhatIsOverTheRateIsDroppedAndToldOnce) {
  TaskRun task(R"yaml(
name: t
processes:
  - {name: web, cmdline: 'yes 0123456789 | head -c 2999997', logger: {rate_limit: 100KB, when_full: drop}}
)yaml");
  const TaskHistory end = task.run();
  EXPECT_EQ(end.state(), TaskState::kSuccess);
  const std::string kept = task.output("web");
  EXPECT_GE(kept.size(), 99u << 10) << "a second's worth, in whole lines";
  EXPECT_LT(kept.size(), 2'999'997u);
  EXPECT_EQ(kept.find_first_not_of("0123456789\n"), std::string::npos);
  for (std::size_t at = 0; at < kept.size(); at += 11) ASSERT_EQ(kept.substr(at, 11), "0123456789\n") << "whole lines";
  std::vector<std::string> told;
  for (const EventRecord& event : end.events)
    if (event.kind == "output" && event.process == "web") told.push_back(event.words);
  ASSERT_EQ(told.size(), 1u) << "the sum alone, not its beginning too";
  EXPECT_NE(told.back().find(" of output dropped: rate limit of 100.0 KB/s"), std::string::npos) << told.back();
}

TEST(Output, AWriterAboveItsRateWaitsAndLosesNothing) {
  TaskRun task(R"yaml(
name: t
processes:
  - {name: web, cmdline: 'yes 0123456789 | head -c 1650000', logger: {rate_limit: 300KB}}
)yaml");
  const TaskHistory end = task.run();
  EXPECT_EQ(task.output("web").size(), 1'650'000u);
  EXPECT_TRUE(end.events.empty());
}

TEST(Output, RotatedFilesAreCompressedUnlessTheTaskSaysOtherwise) {
  TaskRun task(R"yaml(
name: t
processes:
  - {name: small, cmdline: 'seq 200000', logger: {mode: rotate, rotate: {log_size: 100KB, backups: 3}}}
  - {name: plain, cmdline: 'seq 200000', logger: {mode: rotate, rotate: {log_size: 100KB, backups: 3, compress: false}}}
)yaml");
  EXPECT_EQ(task.run().state(), TaskState::kSuccess);
  EXPECT_TRUE(exists(logs(task, "plain") + "/stdout.3"));
  // dewar-compress may outlive the run a little.
  EXPECT_TRUE(wait_in(logs(task, "small"), [&] { return exists(logs(task, "small") + "/stdout.1.zst"); }));
}

}  // namespace
}  // namespace dewar
