// The disk limit is crossed by whole tasks: under a project quota where the file system of /var/tmp keeps one, or else
// counted by the runner.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "isolation/disk/project_quota.h"
#include "tests/scenario/task_run.h"

namespace dewar {
namespace {

using testing::HasSubstr;

std::string reason_of(const TaskHistory& history) { return history.statuses.back().reason.value_or(""); }

/// All events of a kind, one a line.
std::string events_of(const TaskHistory& history, const std::string& kind) {
  std::string lines;
  for (const EventRecord& event : history.events)
    if (event.kind == kind) lines += event.words + "\n";
  return lines;
}

bool has_quota(const TaskRun& task) { return static_cast<bool>(ProjectQuota::find(task.sandbox())); }

TaskRun::Wanted has_event(const std::string& words) {
  return [words](const TaskHistory& history) { return events_of(history, "disk").find(words) != std::string::npos; };
}

// covers: F9, limit resources.disk
TEST(Disk, ATaskThatWritesTooMuchIsToldAndStopped) {
  TaskRun task(R"yaml(
name: t
max_failures: 0
resources: {cpu: 1, ram: 128MB, disk: 4MB}
processes:
  - name: hog
    cmdline: |
      mkdir -p data/blobs
      head -c 20M /dev/zero > data/blobs/file || { echo refused; exit 3; }
      sleep 60
  - {name: bystander, cmdline: 'sleep 3'}
)yaml");
  const TaskHistory end = task.run();
  EXPECT_THAT(events_of(end, "disk"), HasSubstr("data/blobs with ")) << "the biggest folder is named";
  if (has_quota(task)) {
    EXPECT_EQ(task.output("hog"), "refused\n");
    EXPECT_THAT(events_of(end, "disk"), HasSubstr("the disk quota of 4.0 MB is used up"));
    EXPECT_EQ(runs_of(end, "bystander"), "SUCCESS");
  } else {
    EXPECT_THAT(reason_of(end),
                HasSubstr("more than its disk limit of 4.0 MB; the biggest folders are data/blobs with "));
    EXPECT_EQ(end.state(), TaskState::kFailed);
    EXPECT_EQ(runs_of(end, "hog"), "KILLED");
  }
}

// However soon after it the run ends.
TEST(Disk, WhatARunHasWrittenLastIsInTheReceipt) {
  TaskRun task(R"yaml(
name: t
resources: {disk: 64MB}
processes:
  - {name: first, cmdline: 'mkdir -p a/b && head -c 4M /dev/zero >a/b/one', min_duration: 0}
  - {name: second, cmdline: 'head -c 4M /dev/zero >a/two; rm a/b/one; mkdir -p c/d && head -c 1M /dev/zero >c/d/three'}
constraints: [{order: [first, second]}]
)yaml");
  const TaskHistory end = task.run();
  EXPECT_EQ(end.state(), TaskState::kSuccess);
  EXPECT_GE(end.usage.disk_bytes, 5 << 20);
  EXPECT_LT(end.usage.disk_bytes, 6 << 20);
}

TEST(Disk, WhoRemovesEnoughInTimeGoesOn) {
  TaskRun task(R"yaml(
name: t
resources: {cpu: 1, ram: 128MB, disk: 4MB}
processes: [{name: p, cmdline: 'head -c 6M /dev/zero > file; until [ -e go ]; do sleep 0.1; done; rm file; until [ -e end ]; do sleep 0.1; done'}]
)yaml");
  task.prepare();
  if (has_quota(task)) GTEST_SKIP() << "the file system of /var/tmp keeps project quotas: there is no grace";
  task.start();
  task.wait(has_event("the task is ended in 10s unless it has removed enough by then"), "the event");
  ASSERT_TRUE(replace_file(task.sandbox() + "/go", ""));
  task.wait(has_event("within its disk limit again"), "the second event");
  ASSERT_TRUE(replace_file(task.sandbox() + "/end", ""));
  EXPECT_EQ(task.wait_end().state(), TaskState::kSuccess);
}

TEST(Disk, WhoDoesNotIsEndedAfterTheGrace) {
  TaskRun task(R"yaml(
name: t
resources: {cpu: 1, ram: 128MB, disk: 4MB}
processes: [{name: p, cmdline: 'head -c 6M /dev/zero > file; sleep 60'}]
)yaml");
  task.prepare();
  if (has_quota(task)) GTEST_SKIP() << "the file system of /var/tmp keeps project quotas: there is no grace";
  const TaskHistory end = task.run();
  EXPECT_EQ(end.state(), TaskState::kFailed);
  EXPECT_THAT(reason_of(end), HasSubstr("more than its disk limit of 4.0 MB"));
}

// covers: limit sandbox.inodes
TEST(Disk, ATaskThatMakesTooManyFilesIsToldAndStopped) {
  TaskRun task(R"yaml(
name: t
sandbox: {inodes: 100}
processes: [{name: p, cmdline: 'mkdir many; cd many; for i in $(seq 300); do : > $i || exit 3; done; sleep 60'}]
)yaml");
  const TaskHistory end = task.run();
  EXPECT_EQ(end.state(), TaskState::kFailed);
  if (has_quota(task)) {
    EXPECT_THAT(events_of(end, "disk"), HasSubstr("the disk quota of 100 files and folders is used up"));
  } else {
    EXPECT_THAT(reason_of(end), HasSubstr("more than its disk limit of 100 files and folders"));
  }
}

TEST(Disk, FillingAHoleThroughAMappingIsSeen) {
  TaskRun task(R"yaml(
name: t
resources: {cpu: 1, ram: 128MB, disk: 4MB}
processes:
  - name: p
    cmdline: |
      exec python3 -c '
      import mmap, os, time
      fd = os.open("file", os.O_RDWR | os.O_CREAT)
      os.ftruncate(fd, 32 << 20)
      time.sleep(2)
      m = mmap.mmap(fd, 32 << 20)
      m[:] = bytes(32 << 20)
      time.sleep(60)
      '
)yaml");
  task.start();
  if (has_quota(task)) {
    task.wait(has_event("is used up"), "the event");
    EXPECT_LE(ProjectQuota::find(task.sandbox())->usage()->bytes, 4u << 20);
    ASSERT_TRUE(task.client().lose());
    task.wait_end();
    return;
  }
  const TaskHistory end = task.wait_end();
  EXPECT_EQ(end.state(), TaskState::kFailed);
  EXPECT_THAT(reason_of(end), HasSubstr("more than its disk limit of 4.0 MB"));
}

TEST(Disk, AFileThatWasRemovedButIsOpenCounts) {
  TaskRun task(R"yaml(
name: t
resources: {cpu: 1, ram: 128MB, disk: 4MB}
processes: [{name: p, cmdline: 'exec 5> file; rm file; head -c 20M /dev/zero >&5 || exit 3; sleep 60'}]
)yaml");
  const TaskHistory end = task.run();
  EXPECT_EQ(end.state(), TaskState::kFailed);
  if (has_quota(task)) return;
  EXPECT_THAT(reason_of(end), HasSubstr("20.0 MB of it in files that were removed but are still open"));
}

TEST(Disk, TheRunnerThatTakesOverKeepsTheLimit) {
  TaskRun task(R"yaml(
name: t
resources: {cpu: 1, ram: 128MB, disk: 4MB}
processes: [{name: p, cmdline: 'until [ -e go ]; do sleep 0.1; done; head -c 20M /dev/zero > file || exit 3; sleep 60'}]
)yaml");
  task.start();
  task.wait_running("p");
  ASSERT_EQ(::kill(task.runner_pid(), SIGKILL), 0);
  EXPECT_EQ(task.wait_exit(), -SIGKILL);
  task.start();
  task.wait_running("p");
  ASSERT_TRUE(replace_file(task.sandbox() + "/go", ""));
  const TaskHistory end = task.wait_end();
  EXPECT_EQ(end.state(), TaskState::kFailed);
  EXPECT_THAT(events_of(end, "disk"), HasSubstr("4.0 MB"));
}

// covers: limit resources.disk
TEST(Disk, ATaskCannotLeaveItsQuota) {
  TaskRun task(R"yaml(
name: t
resources: {cpu: 1, ram: 128MB, disk: 4MB}
processes: [{name: p, cmdline: 'chattr -p 0 .; chattr -P .; touch file; chattr -p 0 file; chattr +d file; exit 0'}]
)yaml");
  task.run();
  const std::string words = task.output("p", 0, "stderr");
  std::size_t refusals = 0;
  for (std::size_t found = 0; (found = words.find("Operation not permitted", found)) != std::string::npos; ++found)
    ++refusals;
  EXPECT_EQ(refusals, 4u) << words;
}

TEST(Disk, AnUnlimitedTaskMayWriteWhatItLikes) {
  TaskRun task("name: t\nprocesses: [{name: p, cmdline: 'head -c 20M /dev/zero > file'}]\n");
  const TaskHistory end = task.run();
  EXPECT_EQ(end.state(), TaskState::kSuccess);
  EXPECT_TRUE(end.events.empty());
  EXPECT_FALSE(has_quota(task));
}

// covers: limit sandbox.log_quota, F30
TEST(Disk, OutputEndsAtItsQuotaAndTheTaskGoesOn) {
  TaskRun task(R"yaml(
name: t
sandbox: {log_quota: 100KB}
processes:
  - {name: loud, cmdline: 'yes | head -c 4M; echo done > loud'}  # more than a pipe holds: then it has been read
  - {name: late, cmdline: 'until [ -e loud ]; do sleep 0.1; done; echo late'}
)yaml");
  const TaskHistory end = task.run();
  EXPECT_EQ(end.state(), TaskState::kSuccess);
  EXPECT_LE(task.output("loud").size(), 100u << 10);
  EXPECT_GE(task.output("loud").size(), 90u << 10) << "the index takes little of it";
  EXPECT_EQ(task.output("late"), "") << "one quota for all processes";
  EXPECT_THAT(events_of(end, "output"), HasSubstr("the task's quota of 100.0 KB for output is full"));
  EXPECT_THAT(task.runner_log(), HasSubstr(" lost: the task's quota of 100.0 KB for output is full"));
}

}  // namespace
}  // namespace dewar
