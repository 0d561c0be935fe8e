// What tasks are measured to have used, on the real kernel.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <sstream>

#include "base/files.h"
#include "isolation/cgroup/host.h"
#include "tests/scenario/task_run.h"
#include "thermos/limits_text.h"
#include "thermos/usage_ring.h"

namespace dewar {
namespace {

const RunHistory& last_run(const TaskHistory& history, const std::string& process) {
  return history.processes.at(process).back();
}

/// Seconds in what bash's `times` has printed: "0m0.120s 0m0.010s" of itself, and of its children.
double seconds_in(const std::string& text) {
  std::istringstream words(text);
  double sum = 0;
  for (std::string word; words >> word;) {
    const std::size_t minute = word.find('m');
    sum += std::stod(word.substr(0, minute)) * 60 + std::stod(word.substr(minute + 1));
  }
  return sum;
}

/// Waits for the file of a history to have a point that fits.
template <class Fits>
testing::AssertionResult wait_point(const std::string& file, const Fits& fits) {
  for (int tries = 0; tries < 600; ++tries) {
    const auto points = read_usage_ring(file, kSecondRing);
    if (points && std::ranges::any_of(*points, fits)) return testing::AssertionSuccess();
    ::poll(nullptr, 0, 100);  // nobody is told of a new slot
  }
  return testing::AssertionFailure() << "no such point in " << file << " within a minute";
}

bool is_v2(const TaskRun& task) { return task.spec().cgroups.v1.empty(); }

/// What makes a task join the io controller, where there is one for tasks.
std::string limited_io() {
  const auto host = look_at_host_cgroups();
  const bool offered = host && (host->v1.contains("blkio") || std::ranges::count(host->v2, "io") > 0);
  return offered ? "sandbox: {io: {write_bps: 1GB}}\n" : "";
}

TEST(Measured, CpuTimeOfARunIsItsOwnItsChildrensAndItsDaemons) {
  TaskRun task(R"yaml(
name: t
resources: {cpu: 0.5, ram: 128MB}
processes:
- name: burn
  cmdline: |
    burn() { for ((i = 0; i < 20000; i++)); do :; done; }
    burn
    ( burn )
    ( setsid bash -c 'for ((i = 0; i < 20000; i++)); do :; done; times >daemon; mv daemon daemon.done' & )
    until [ -e daemon.done ]; do sleep 0.05; done
    times >own
)yaml");
  const TaskHistory end = task.run();
  const RunHistory& run = last_run(end, "burn");
  ASSERT_EQ(run.state, ProcessState::kSuccess);
  const double told =
      seconds_in(*read_file(task.sandbox() + "/own")) + seconds_in(*read_file(task.sandbox() + "/daemon.done"));
  ASSERT_TRUE(run.usage.cpu_us());
  const double measured = static_cast<double>(*run.usage.cpu_us()) / 1e6;
  EXPECT_GE(measured, told - 0.01);
  EXPECT_LE(measured, told + 0.5) << "beside, only the way to exec and the end";
  EXPECT_GE(end.usage.cpu_us(), run.usage.cpu_us());
  Limits limits;
  ASSERT_TRUE(read_limits_text(run.limits, limits));
  EXPECT_EQ(limits.memory, 128u << 20);
  EXPECT_EQ(end.limits, run.limits);
}

TEST(Measured, MemoryFaultsAndDiskTrafficAreInTheReceipt) {
  TaskRun task("name: t\n" + limited_io() + R"yaml(
resources: {ram: 256MB, disk: 256MB}
processes:
- name: hold
  cmdline: |
    dd if=/dev/zero of=file bs=1M count=16 oflag=direct status=none || dd if=/dev/zero of=file bs=1M count=16 conv=fsync
    held=$(head -c 30000000 /dev/zero | tr '\0' x)
    touch held; read <go
)yaml");
  task.prepare();
  ASSERT_EQ(::mkfifo((task.sandbox() + "/go").c_str(), 0666), 0);
  ASSERT_EQ(::chmod((task.sandbox() + "/go").c_str(), 0666), 0);
  task.start();
  ASSERT_TRUE(task.wait_file("held"));
  const std::string file = usage_file(task.spec().run_folder, "hold", 0);
  EXPECT_TRUE(wait_point(file, [](const UsagePoint& p) { return p.usage.memory_anon_bytes >= 30'000'000; }));
  const auto go = open_file(task.sandbox() + "/go", O_WRONLY);
  ASSERT_TRUE(go && write_all(go->get(), "x\n", "go"));
  const TaskHistory end = task.wait_end();
  const Usage& used = last_run(end, "hold").usage;
  EXPECT_GE(used.memory_peak_bytes, 30'000'000);
  EXPECT_GE(used.minor_faults, 30'000'000 / 4096);
  EXPECT_GE(used.descriptors_peak, 3);
  EXPECT_GE(used.pids_peak, 1);
  EXPECT_GE(end.usage.disk_bytes, 16 << 20);
  if (is_v2(task)) {
    EXPECT_GE(used.io_write_bytes, 16 << 20);
    EXPECT_GE(used.io_writes, 1);
  } else {
    EXPECT_EQ(used.io_write_bytes, std::nullopt) << "v1 counts the whole task's only";
    EXPECT_TRUE(!end.usage.io_write_bytes || *end.usage.io_write_bytes >= 16 << 20);
  }
}

TEST(Measured, ThreadsAndDescriptorsThatWereSeen) {
  TaskRun task(R"yaml(
name: t
sandbox: {pids: 100}
processes:
- name: many
  cmdline: |
    for ((i = 10; i < 210; i++)); do eval "exec $i</dev/null"; done
    for ((i = 0; i < 20; i++)); do sleep 1000 & done
    touch there; read <go; kill $(jobs -p); wait
)yaml");
  task.prepare();
  ASSERT_EQ(::mkfifo((task.sandbox() + "/go").c_str(), 0666), 0);
  ASSERT_EQ(::chmod((task.sandbox() + "/go").c_str(), 0666), 0);
  task.start();
  task.wait_file("there");
  EXPECT_TRUE(wait_point(usage_file(task.spec().run_folder, "many", 0), [](const UsagePoint& p) {
    return p.usage.pids >= 21 && p.usage.processes >= 21 && p.usage.descriptors_peak >= 200;
  }));
  const auto go = open_file(task.sandbox() + "/go", O_WRONLY);
  ASSERT_TRUE(go && write_all(go->get(), "x\n", "go"));
  const TaskHistory end = task.wait_end();
  EXPECT_GE(last_run(end, "many").usage.pids_peak, 21);
  EXPECT_GE(last_run(end, "many").usage.descriptors_peak, 200);
  EXPECT_GE(end.usage.pids_peak, 21);
}

TEST(Measured, AQuotaThatHoldsBackIsCounted) {
  TaskRun task(R"yaml(
name: t
sandbox: {cpu_quota: 0.1}
processes:
  - {name: burn, cmdline: 'while read -ra s </proc/self/stat; ((s[13] + s[14] < 20)); do :; done'}  # 0.2 s
)yaml");
  const TaskHistory end = task.run();
  EXPECT_GT(end.usage.throttled_periods, 0);
  EXPECT_GT(end.usage.throttled_us, 0);
}

/// The numbers of a run's end stand in its record and, the same, at the end of its history.
TEST(Measured, HistorySurvivesTheRunnerAndEndsWithTheFinalNumbers) {
  TaskRun task("name: t\nprocesses: [{name: p, cmdline: 'while [ ! -e go ]; do sleep 0.1; done'}]\n");
  task.start();
  task.wait_running("p");
  const std::string file = usage_file(task.spec().run_folder, "p", 0), whole = usage_file(task.spec().run_folder);
  EXPECT_TRUE(wait_point(file, [](const UsagePoint& p) { return p.tick >= 2; }));
  ASSERT_EQ(::kill(task.runner_pid(), SIGKILL), 0);
  ASSERT_EQ(task.wait_exit(), -SIGKILL);
  const auto before = read_usage_ring(file, kSecondRing);
  ASSERT_TRUE(before);
  ASSERT_FALSE(before->empty());
  const std::uint32_t last = before->back().tick;
  task.start();
  EXPECT_TRUE(wait_point(file, [&](const UsagePoint& p) { return p.tick > last + 1; }));
  ASSERT_TRUE(replace_file(task.sandbox() + "/go", ""));
  const TaskHistory end = task.wait_end();
  const auto after = read_usage_ring(file, kSecondRing);
  ASSERT_TRUE(after);
  ASSERT_GE(after->size(), before->size() + 1);
  for (std::size_t i = 0; i < before->size(); ++i) EXPECT_EQ((*after)[i].tick, (*before)[i].tick);
  EXPECT_EQ((*after)[0].usage, (*before)[0].usage);
  EXPECT_EQ(after->back().usage, last_run(end, "p").usage);
  const auto hours = read_usage_history(file, std::chrono::hours(5));
  ASSERT_TRUE(hours);
  EXPECT_EQ(hours->seconds, 10u);
  EXPECT_EQ(hours->points.back().usage.cpu_us(), last_run(end, "p").usage.cpu_us());
  const auto of_task = read_usage_ring(whole, kSecondRing);
  ASSERT_TRUE(of_task);
  EXPECT_GE(of_task->back().usage.cpu_us(), last_run(end, "p").usage.cpu_us());
}

TEST(Measured, WhatHasEndedIsNotInTheTasksTotalsNow) {
  TaskRun task(R"yaml(
name: t
processes:
- {name: first, cmdline: 'held=$(head -c 30000000 /dev/zero | tr "\0" x); sleep 0.1'}
- {name: second, cmdline: 'touch there; while [ ! -e go ]; do sleep 0.1; done'}
constraints: [{order: [first, second]}]
)yaml");
  task.start();
  task.wait_file("there");
  EXPECT_TRUE(wait_point(usage_file(task.spec().run_folder),
                         [](const UsagePoint& p) { return p.usage.memory_anon_bytes < 20'000'000; }));
  ASSERT_TRUE(replace_file(task.sandbox() + "/go", ""));
  const TaskHistory end = task.wait_end();
  EXPECT_LT(*last_run(end, "second").usage.memory_peak_bytes, 20'000'000);
  EXPECT_GE(end.usage.memory_peak_bytes, 30'000'000);
}

}  // namespace
}  // namespace dewar
