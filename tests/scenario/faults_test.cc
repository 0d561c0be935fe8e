// Faults of the host and of tasks, on the real kernel: after each the truth is told and the host is clean.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "base/files.h"
#include "isolation/cgroup/cgroup.h"
#include "isolation/cgroup/group_files.h"
#include "tests/scenario/task_run.h"
#include "thermos/events.h"
#include "thermos/limits_text.h"

namespace dewar {
namespace {

using ::testing::HasSubstr;

std::string reason_of(const TaskHistory& history) { return history.statuses.back().reason.value_or(""); }

/// All that was told beside the states.
std::string events_of(const TaskRun& task) {
  std::string all;
  for (const EventRecord& event : read_events(task.spec().run_folder)) all += event.kind + ": " + event.words + "\n";
  return all;
}

Cgroup group_of(const TaskRun& task) { return Cgroup::find(task.spec().cgroups, task.spec().container_id).take(); }

bool eventually(const std::function<bool()>& condition) {
  const Time deadline = SystemClock().now() + std::chrono::seconds(60);
  while (!condition()) {
    if (SystemClock().now() > deadline) return false;
    ::poll(nullptr, 0, 20);
  }
  return true;
}

// covers: F10, S16
TEST(Fault, AForkBombMeetsItsLimitIsToldAndStops) {
  const std::string bin = DEWAR_BIN;
  TaskRun task("name: t\nsandbox: {pids: 100, binds: [" + bin + "]}\n" + "processes: [{name: bomb, cmdline: 'exec " +
               bin + "/testcase bomb'}]\n");
  TaskRun neighbour(
      "name: n\nprocesses: [{name: p, cmdline: 'while [ ! -e stop ]; do /bin/echo step >> steps; done; echo fine'}]\n");
  neighbour.start();
  neighbour.wait_running("p");
  const auto goes_on = [&] {  // it still starts processes of its own, thirty times
    const std::string file = neighbour.sandbox() + "/steps";
    const auto steps = [&] { return exists(file) ? read_file(file)->size() : 0; };
    const std::size_t before = steps();
    return eventually([&] { return steps() >= before + 30 * 5; });
  };
  task.start();
  task.wait_running("bomb");
  EXPECT_TRUE(eventually([&] { return group_of(task).usage()->forks_refused > 0; }));
  EXPECT_LE(group_of(task).usage()->pids, 100);
  EXPECT_TRUE(eventually([&] { return events_of(task).find("the limit of 100 processes") != std::string::npos; }));
  EXPECT_TRUE(goes_on()) << "beside the bomb";
  const std::string group = group_of(task).sweep_folder();
  const Time killed = SystemClock().now();
  ASSERT_TRUE(task.client().kill(Duration{0}));
  EXPECT_EQ(task.wait_end().state(), TaskState::kKilled);
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(SystemClock().now() - killed);
  RecordProperty("killed_ms", static_cast<int>(took.count()));
  EXPECT_FALSE(exists(group)) << "all of it is gone with its end";
  EXPECT_EQ(events_of(task).find("cannot be killed"), std::string::npos)
      << "at once, not by the deadline of what is stuck";
  EXPECT_TRUE(goes_on()) << "and after it";
  ASSERT_TRUE(replace_file(neighbour.sandbox() + "/stop", ""));
  EXPECT_EQ(neighbour.wait_end().state(), TaskState::kSuccess);
  EXPECT_EQ(neighbour.output("p"), "fine\n");
}

// covers: F11, limit memory.max
TEST(Fault, AMemoryBombIsNamedWithItsSize) {
  TaskRun task(R"yaml(
name: t
resources: {cpu: 1, ram: 64MB, disk: 64MB}
processes:
  - {name: hog, cmdline: 'exec python3 -c "x = bytearray(256 << 20)"'}
)yaml");
  const TaskHistory end = task.run();
  EXPECT_EQ(end.state(), TaskState::kFailed);
  EXPECT_THAT(reason_of(end), HasSubstr("the memory limit of 64.0 MB was reached and the kernel killed "));
  EXPECT_THAT(reason_of(end), HasSubstr(" in hog"));
  EXPECT_THAT(events_of(task), HasSubstr("memory: the memory limit of 64.0 MB was reached"));
  if (::access("/dev/kmsg", R_OK) == 0) {
    EXPECT_THAT(reason_of(end), HasSubstr("killed python3 (pid "));
    const auto told = std::ranges::find(end.events, "memory", &EventRecord::kind);
    ASSERT_NE(told, end.events.end());
    EXPECT_THAT(told->details.at("biggest.1"), testing::EndsWith(" python3"));
  }
}

// covers: F12
TEST(Fault, AChildThatRanOutOfMemoryIsTheOneToldOf) {
  TaskRun task(R"yaml(
name: t
resources: {cpu: 1, ram: 64MB, disk: 64MB}
processes:
  - name: main
    cmdline: |
      trap "exit 3" TERM
      python3 -c "x = bytearray(256 << 20)"
      echo survived > seen
      exec sleep 60
)yaml");
  const TaskHistory end = task.run();
  EXPECT_EQ(end.state(), TaskState::kFailed);
  EXPECT_THAT(reason_of(end), HasSubstr("in main"));
  EXPECT_THAT(reason_of(end), HasSubstr("the whole task was ended with it"));
  EXPECT_GE(end.statuses.back().usage.value_or(Usage{}).oom_kills, 1);
}

// covers: F14
TEST(Fault, TenThousandOrphansAreReaped) {
  const std::string bin = DEWAR_BIN;
  TaskRun task("name: t\nsandbox: {pids: 500, binds: [" + bin + "]}\nprocesses:\n- {name: p, cmdline: '" + bin +
               "/testcase orphans 10000 && touch done; while [ ! -e stop ]; do sleep 0.05; done'}\n");
  task.start();
  task.wait_file("done");
  EXPECT_TRUE(eventually([&] { return group_of(task).usage()->pids <= 3; })) << "init, the shell and its sleep";
  ASSERT_TRUE(replace_file(task.sandbox() + "/stop", ""));
  EXPECT_EQ(task.wait_end().state(), TaskState::kSuccess);
}

// covers: F15
TEST(Fault, ADaemonOfItsOwnSessionIsCountedAndStopped) {
  TaskRun task(R"yaml(
name: t
processes:
  - name: p
    cmdline: |
      python3 -c '
      import os, time
      if os.fork() == 0:
          os.setsid()
          if os.fork() == 0:
              x = bytearray(32 << 20)
              open("daemon", "w").write(str(os.getpid()))
              time.sleep(600)
          os._exit(0)
      os.wait()
      '
      exec sleep 600
)yaml");
  task.start();
  task.wait_file("daemon");
  EXPECT_GE(group_of(task).usage()->memory_bytes, 32 << 20);
  EXPECT_GE(group_of(task).usage()->pids, 3);
  ASSERT_TRUE(task.client().kill(Duration{0}));
  EXPECT_EQ(task.wait_end().state(), TaskState::kKilled);  // TaskRun checks that nothing is left
}

// covers: F16
TEST(Fault, WhatAProcessLeavesBehindIsKilledAndTold) {
  TaskRun task("name: t\nprocesses: [{name: p, cmdline: 'setsid sleep 600 & setsid sleep 600 & exit 0'}]\n");
  const TaskHistory end = task.run();
  EXPECT_EQ(end.state(), TaskState::kSuccess);
  EXPECT_THAT(task.runner_log() + events_of(task), HasSubstr("2 processes were left"));
}

// covers: F20
TEST(Fault, LimitsThatSomebodyChangedArePutBackAndTold) {
  TaskRun task("name: t\nsandbox: {pids: 77}\nprocesses: [{name: p, cmdline: 'sleep 600'}]\n");
  task.start();
  task.wait_running("p");
  const CgroupLayout& layout = task.spec().cgroups;
  const std::string pids =
      (layout.v1.contains("pids") ? layout.v1.at("pids") : layout.unified) + "/" + task.spec().container_id;
  for (const char* other : {"max", "78"}) {
    ASSERT_TRUE(write_group_file(pids, "pids.max", other));
    EXPECT_TRUE(eventually([&] { return *read_file(pids + "/pids.max") == "77\n"; })) << other;
  }
  EXPECT_TRUE(eventually([&] {
    return events_of(task).find(
               "somebody else changed the task's limits: pids.max was 'max' instead of '77'; they were "
               "put back") != std::string::npos;
  })) << events_of(task);
  ASSERT_TRUE(task.client().kill(Duration{0}));
  task.wait_end();
}

// covers: F20
TEST(Fault, AProcessThatSomebodyMovedOutIsTold) {
  TaskRun task("name: t\nprocesses: [{name: p, cmdline: 'sleep 600'}]\n");
  task.start();
  const TaskHistory history = task.wait_running("p");
  const auto pid = std::to_string(*history.processes.at("p").back().pid);
  const CgroupLayout& layout = task.spec().cgroups;
  if (!layout.v1.contains("pids")) {
    ASSERT_TRUE(task.client().kill(Duration{0}));
    task.wait_end();
    GTEST_SKIP() << "a process that leaves the one hierarchy is not seen";
  }
  ASSERT_TRUE(write_group_file(layout.v1.at("pids"), "cgroup.procs", pid));
  EXPECT_TRUE(eventually([&] {
    return events_of(task).find("process " + pid + " was moved out of the task's cgroup") != std::string::npos;
  })) << events_of(task);
  ASSERT_TRUE(task.client().kill(Duration{0}));
  EXPECT_EQ(task.wait_end().state(), TaskState::kKilled) << "it is killed all the same";
}

// covers: F21
TEST(Fault, AFrozenTaskIsThawedWhenItIsStopped) {
  TaskRun task("name: t\nprocesses: [{name: p, cmdline: 'trap \"echo bye; exit 0\" TERM; sleep 600 & wait'}]\n");
  task.start();
  task.wait_running("p");
  const Cgroup group = group_of(task);
  if (group.unified().empty()) {
    ASSERT_TRUE(task.client().kill(Duration{0}));
    task.wait_end();
    GTEST_SKIP() << "no cgroup2 here";
  }
  ASSERT_TRUE(write_group_file(group.unified(), "cgroup.freeze", "1"));
  ASSERT_TRUE(task.client().kill(std::chrono::seconds(20)));
  EXPECT_EQ(task.wait_end().state(), TaskState::kKilled);
  EXPECT_THAT(events_of(task), HasSubstr("the task was frozen by somebody else; it was thawed"));
}

TEST(Limits, OfARunningTaskAreChangedAndOutliveItsRunner) {
  TaskRun task(
      "name: t\nsandbox: {pids: 50}\nresources: {cpu: 1, ram: 64MB, disk: 64MB}\n"
      "processes: [{name: p, cmdline: 'sleep 600'}]\n");
  task.start();
  task.wait_running("p");
  EXPECT_EQ(read_limits(task.spec().run_folder)->pids, 50u);
  auto client = RunnerClient::connect(task.spec().run_folder);
  ASSERT_TRUE(client);
  const auto changed = client->change_limits("memory=134217728 pids=60");
  ASSERT_TRUE(changed) << changed.error().message();
  EXPECT_EQ(group_of(task).limits()->memory, 128u << 20);
  EXPECT_EQ(group_of(task).limits()->pids, 60u);

  const auto refused = client->change_limits("memory=268435456 cpuset=4000");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("this host has no core 4000"));
  EXPECT_EQ(group_of(task).limits()->memory, 128u << 20) << "nothing of it was done";

  ASSERT_EQ(::kill(task.runner_pid(), SIGKILL), 0);
  EXPECT_EQ(task.wait_exit(), -SIGKILL);
  task.start();
  task.wait([](const TaskHistory& history) { return history.statuses.size() >= 2; }, "a runner that takes over");
  EXPECT_EQ(group_of(task).limits()->pids, 60u);
  EXPECT_EQ(read_limits(task.spec().run_folder)->pids, 60u);
  EXPECT_THAT(events_of(task), HasSubstr("limits: the limits were changed on request: memory=134217728 pids=60"));
  ASSERT_TRUE(task.client().kill(Duration{0}));
  task.wait_end();
}

// covers: limit oom_score_adj
TEST(Limits, TheOomScoreIsTheTasks) {
  TaskRun task(
      "name: t\nsandbox: {oom_score_adj: 321}\nprocesses: [{name: p, cmdline: 'cat /proc/self/oom_score_adj'}]\n");
  task.run();
  EXPECT_EQ(task.output("p"), "321\n");
}

TEST(Limits, ADeviceIsThereWhenItIsAskedFor) {
  if (!exists("/dev/fuse")) GTEST_SKIP() << "no /dev/fuse here";
  for (const std::string devices : {"[]", "[/dev/fuse]"}) {
    TaskRun::Options options;
    options.user = "root";
    TaskRun task("name: t\nsandbox: {devices: " + devices +
                     "}\nmax_failures: 0\n"
                     "processes: [{name: p, cmdline: 'exec 3<> /dev/fuse && echo open'}]\n",
                 options);
    task.run();
    EXPECT_EQ(task.output("p"), devices == "[]" ? "" : "open\n");
  }
}

}  // namespace
}  // namespace dewar
