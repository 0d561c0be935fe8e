// Explanations from made-up evidence: a test per kind of end that needs no kernel. Those on the real kernel are in
// tests/scenario/explain_test.cc.
#include "thermos/explain/explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>

#include "thermos/explain/health_words.h"

namespace dewar {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr double kStart = 1.7e9;

ProcessSpec spec_of(const std::string& name, std::uint32_t max_failures = 1) {
  ProcessSpec spec;
  spec.name = name;
  spec.cmdline = "true";
  spec.max_failures = max_failures;
  return spec;
}

class ExplainTest : public testing::Test {
 protected:
  ExplainTest() {
    evidence.task_id = "try";
    evidence.plan.processes = {spec_of("fetch", 3), spec_of("serve"), spec_of("report")};
    evidence.plan.constraints = {{"fetch", "serve", "report"}};
    evidence.now = kStart + 100;
    status(TaskState::kActive, 0);
  }

  void status(TaskState state, double after, const std::string& reason = "", const std::string& boot = "b") {
    TaskRecord record;
    record.state = state;
    record.timestamp_ms = static_cast<std::int64_t>((kStart + after) * 1000);
    record.boot_id = boot;
    if (!reason.empty()) record.reason = reason;
    evidence.history.statuses.push_back(record);
  }
  RunHistory& run(const std::string& process, ProcessState state, std::optional<int> code = {},
                  const std::string& reason = "", double stop = 5) {
    RunHistory one;
    one.state = state;
    one.return_code = code;
    one.reason = reason;
    if (state != ProcessState::kWaiting) one.fork_time = one.start_time = kStart + 1;
    if (is_terminal(state)) one.stop_time = kStart + stop;
    evidence.history.processes[process].push_back(one);
    return evidence.history.processes[process].back();
  }
  void event(const std::string& kind, const std::string& process, Details details) {
    evidence.history.events.push_back({kStart + 5, kind, process, 0, "", std::move(details)});
  }
  void end(TaskState state, const std::string& reason) {
    status(TaskState::kCleaning, 4, reason);
    status(state, 6, reason);
  }

  Evidence evidence;
};

const Card* find_card(const Explanation& told, const std::string& title) {
  for (const Card& card : told.cards)
    if (card.title == title) return &card;
  return nullptr;
}

std::string row_of(const Card& card, const std::string& name) {
  for (const auto& [title, value] : card.rows)
    if (title == name) return value;
  return "no such row";
}

TEST_F(ExplainTest, ATaskThatEndedWellIsToldInAWord) {
  for (const char* name : {"fetch", "serve", "report"}) run(name, ProcessState::kSuccess, 0);
  end(TaskState::kSuccess, "all 3 processes succeeded");
  const Explanation told = explain_task(evidence);
  EXPECT_EQ(told.sentence, "try SUCCESS: all 3 processes succeeded");
  EXPECT_EQ(told.cause, Cause::kNone);
  EXPECT_TRUE(told.cards.empty());
}

TEST_F(ExplainTest, AProcessThatWasNotStartedTellsTheChainOfCauses) {
  for (int i = 0; i < 3; ++i) run("fetch", ProcessState::kFailed, 22, "exit status 22");
  end(TaskState::kFailed, "fetch failed 3 of 3 times: exit status 22; serve and report were not started");
  const Explanation serve = explain_process(evidence, "serve", {});
  EXPECT_EQ(serve.sentence, "try/serve was not started: fetch failed 3 of 3 times: exit status 22");
  EXPECT_EQ(serve.cause, Cause::kDependency);
  const Explanation report = explain_process(evidence, "report", {});
  EXPECT_EQ(report.sentence, "try/report was not started: fetch failed 3 of 3 times: exit status 22");
  EXPECT_THAT(report.chain, ElementsAre("serve was not started", "fetch failed 3 of 3 times: exit status 22"));
  const Explanation task = explain_task(evidence);
  EXPECT_EQ(task.cause, Cause::kProcesses);
  EXPECT_EQ(task.sentence, "try FAILED: fetch failed 3 of 3 times: exit status 22; serve and report were not started");
  EXPECT_THAT(task.chain, ElementsAre("fetch#2: exit status 22"));
}

TEST_F(ExplainTest, ALivingTaskTellsWhatWaitsForWhat) {
  run("fetch", ProcessState::kFailed, 22, "exit status 22");
  run("fetch", ProcessState::kRunning);
  EXPECT_EQ(explain_process(evidence, "serve", {}).sentence,
            "try/serve waits for fetch, which is in its run 2 of 3, for 1m39s");
  EXPECT_EQ(explain_process(evidence, "report", {}).sentence,
            "try/report waits for serve, which waits for fetch, which is in its run 2 of 3, for 1m39s");
  EXPECT_EQ(explain_process(evidence, "serve", {}).cause, Cause::kWaiting);
  EXPECT_EQ(explain_task(evidence).sentence,
            "try is ACTIVE: fetch is in its run 2 of 3, for 1m39s; serve waits for fetch, which is in its run 2 of 3, "
            "for 1m39s");
  evidence.history.processes["fetch"].back().state = ProcessState::kWaiting;
  EXPECT_EQ(explain_process(evidence, "serve", {}).sentence,
            "try/serve waits for fetch, which waits for its run 2 of 3");
}

TEST_F(ExplainTest, AFreePlaceAndTheEndOfTheTaskAreWaitedForToo) {
  evidence.plan.constraints.clear();
  evidence.plan.max_concurrency = 1;
  evidence.plan.processes[2].final = true;
  run("fetch", ProcessState::kRunning);
  EXPECT_EQ(explain_process(evidence, "serve", {}).sentence, "try/serve waits for a free place: max_concurrency is 1");
  EXPECT_EQ(explain_process(evidence, "report", {}).sentence,
            "try/report is a final process: it runs when the others have ended");
}

TEST_F(ExplainTest, OutputThatIsMissingIsToldOnceBesideTheRun) {
  run("fetch", ProcessState::kFailed, 3, "exit status 3");
  for (const char* words : {"stderr: 4.0 KB lost", "stderr: 9.0 MB lost"})
    ASSERT_TRUE(evidence.history.apply(EventRecord{kStart + 2, std::string(kOutputEvent), "fetch", 0, words}));
  const Explanation told = explain_process(evidence, "fetch", 0);
  EXPECT_EQ(row_of(told.cards.at(0), "output"), "stderr: 9.0 MB lost");
  EXPECT_EQ(std::ranges::count(told.cards.at(0).rows, "output", &std::pair<std::string, std::string>::first), 1);
}

TEST_F(ExplainTest, OutOfMemoryTellsWhoseLimitTheVictimAndTheBiggest) {
  run("fetch", ProcessState::kKilled, -SIGKILL, "killed for want of memory (the task's limit is 64.0 MB)");
  event("memory", "fetch",
        {{"cause", "memory"},
         {"ends", "task"},
         {"level", "task"},
         {"limit_bytes", "67108864"},
         {"victim_pid", "12"},
         {"victim_name", "python3"},
         {"victim_bytes", "62914560"},
         {"victim_process", "fetch"},
         {"biggest.1", "62914560 12 python3"},
         {"biggest.2", "3145728 11 bash"}});
  event("end", "fetch", {{"cause", "memory"}, {"limit_bytes", "67108864"}});
  evidence.memory = {{kStart, 1 << 20}, {kStart + 1, 60 << 20}};
  end(TaskState::kFailed, "the memory limit of 64.0 MB was reached");
  const Explanation told = explain_task(evidence);
  EXPECT_EQ(told.cause, Cause::kMemory);
  EXPECT_EQ(told.sentence, "try FAILED: the memory limit of 64.0 MB was reached");
  const Card* card = find_card(told, "Memory");
  ASSERT_NE(card, nullptr);
  EXPECT_EQ(row_of(*card, "limit met"), "of the task");
  EXPECT_EQ(row_of(*card, "killed"), "python3 (pid 12) with 60.0 MB, of process fetch");
  EXPECT_EQ(row_of(*card, "biggest"), "60.0 MB  python3 (pid 12)");
  EXPECT_EQ(card->memory.size(), 2u);
  EXPECT_THAT(told.chain, ElementsAre(HasSubstr("fetch#0: killed for want of memory")));
  EXPECT_THAT(told.advice, ElementsAre(HasSubstr("resources.ram")));
  EXPECT_EQ(explain_process(evidence, "fetch", {}).cause, Cause::kMemory);
}

TEST_F(ExplainTest, MemoryOfTheHostIsNotBlamedOnTheTask) {
  event("memory", "fetch", {{"cause", "memory"}, {"ends", "task"}, {"level", "host"}});
  end(TaskState::kFailed, "the host ran out of memory");
  EXPECT_THAT(explain_task(evidence).advice, ElementsAre(HasSubstr("within its own limit")));
}

TEST_F(ExplainTest, DiskTellsTheBiggestFolders) {
  event("disk", "",
        {{"cause", "disk"},
         {"ends", "task"},
         {"limit_bytes", "1048576"},
         {"used_bytes", "2097152"},
         {"used_inodes", "3"},
         {"folder.1", "1572864 data/blobs"}});
  end(TaskState::kFailed, "the sandbox holds 2.0 MB, more than its disk limit of 1.0 MB");
  const Explanation told = explain_task(evidence);
  EXPECT_EQ(told.cause, Cause::kDisk);
  const Card* card = find_card(told, "Disk");
  ASSERT_NE(card, nullptr);
  EXPECT_EQ(row_of(*card, "biggest"), "1.5 MB  data/blobs");
}

// covers: cause cgroup-removed
TEST_F(ExplainTest, AGroupThatSomebodyRemovedIsNamed) {
  event("limits", "", {{"cause", "cgroup-removed"}, {"ends", "task"}, {"folder", "/sys/fs/cgroup/pids/dewar/x"}});
  end(TaskState::kFailed, "the task's cgroup /sys/fs/cgroup/pids/dewar/x was removed by somebody else");
  EXPECT_EQ(explain_task(evidence).cause, Cause::kGroupGone);
}

TEST_F(ExplainTest, WhatWeStoppedIsNotBlamedOnTheProcess) {
  run("fetch", ProcessState::kKilled, -SIGTERM, "ended by SIGTERM at the end of the task");
  end(TaskState::kKilled, "killed on request by dewar (pid 7, uid 0)");
  EXPECT_EQ(explain_task(evidence).sentence, "try KILLED: killed on request by dewar (pid 7, uid 0)");
  EXPECT_EQ(explain_task(evidence).cause, Cause::kRequest);
  const Explanation told = explain_process(evidence, "fetch", {});
  EXPECT_EQ(told.cause, Cause::kStopped);
  EXPECT_EQ(told.sentence, "try/fetch#0 KILLED: ended by SIGTERM at the end of the task");
  EXPECT_THAT(told.chain, ElementsAre("the task ended: killed on request by dewar (pid 7, uid 0)"));
  EXPECT_EQ(row_of(told.cards.at(0), "sent by"), "Dewar");
  EXPECT_EQ(explain_process(evidence, "serve", {}).sentence,
            "try/serve was not started: the task ended first: killed on request by dewar (pid 7, uid 0)");
}

TEST_F(ExplainTest, ASignalOfAStrangersIsToldAsSuch) {
  run("fetch", ProcessState::kKilled, -SIGKILL, "killed by SIGKILL (9)", 2);
  const Explanation told = explain_process(evidence, "fetch", {});
  EXPECT_EQ(told.cause, Cause::kSignal);
  EXPECT_EQ(row_of(told.cards.at(0), "sent by"), "not told by the kernel; not Dewar");
}

TEST_F(ExplainTest, AHealthCheckIsToldByItsEvidence) {
  HealthCheck check;
  check.max_consecutive_failures = 1;
  HealthRecord record;
  record.state = {TaskHealth::kUnhealthy, 9, 0, 2, 2};
  record.add({kStart, true, std::chrono::milliseconds(3), "answered 200 OK"});
  record.add({kStart + 1, false, std::chrono::milliseconds(12), "answered 500 Oops"});
  run("serve", ProcessState::kKilled, -SIGTERM, "ended by SIGTERM at the end of the task", 5);
  event("health", "", health_details(check, 31337, record));
  end(TaskState::kFailed, unhealthy_words(check, 31337, record));
  const Explanation told = explain_task(evidence);
  EXPECT_EQ(told.cause, Cause::kHealth);
  EXPECT_EQ(told.sentence,
            "try FAILED: unhealthy, 2 checks in a row failed: GET /health on port 31337 answered 500 Oops");
  const Card* card = find_card(told, "Health check");
  ASSERT_NE(card, nullptr);
  EXPECT_EQ(row_of(*card, "check"), "GET /health on port 31337");
  EXPECT_EQ(row_of(*card, "failed"), "2 in a row");
  EXPECT_EQ(row_of(*card, "tolerated"), "1 in a row");
  EXPECT_EQ(row_of(*card, "last"), "2023-11-14T22:13:21.000000Z  failed after 12ms: answered 500 Oops");
  EXPECT_EQ(row_of(*card, ""), "2023-11-14T22:13:20.000000Z  passed after 3ms: answered 200 OK");
  const Explanation serve = explain_process(evidence, "serve", {});
  EXPECT_THAT(serve.chain, ElementsAre(HasSubstr("the task ended: unhealthy, 2 checks in a row failed")));
}

TEST_F(ExplainTest, AStepBeforeExecAndALostLauncherHaveTheirKinds) {
  run("fetch", ProcessState::kFailed, {}, "process 'fetch': step exec: /bin/bash: No such file or directory");
  EXPECT_EQ(explain_process(evidence, "fetch", {}).cause, Cause::kLaunch);
  run("fetch", ProcessState::kLost, {}, "its launcher (pid 9) died");
  EXPECT_EQ(explain_process(evidence, "fetch", {}).cause, Cause::kLauncherLost);
  EXPECT_EQ(explain_process(evidence, "fetch", 0).cause, Cause::kLaunch);
}

TEST_F(ExplainTest, ARunThatALaterBootFoundIsTheHosts) {
  run("fetch", ProcessState::kLost, {}, "the host was started anew while it ran");
  status(TaskState::kActive, 50, "", "c");
  EXPECT_EQ(explain_process(evidence, "fetch", {}).cause, Cause::kHostLost);
}

TEST_F(ExplainTest, ATaskThatNobodyLooksAfterIsToldAsSuch) {
  run("fetch", ProcessState::kRunning);
  evidence.runner_lives = false;
  evidence.boot_id = "b";
  EXPECT_EQ(explain_task(evidence).sentence, "try is ACTIVE, but its runner has died");
  EXPECT_EQ(explain_task(evidence).cause, Cause::kRunnerLost);
  evidence.boot_id = "c";
  EXPECT_EQ(explain_task(evidence).sentence, "try is ACTIVE, but the host was started anew while it ran");
  EXPECT_EQ(explain_task(evidence).cause, Cause::kHostLost);
}

TEST_F(ExplainTest, ThermossOwnRecordsAreToldByTheirCodes) {
  run("fetch", ProcessState::kFailed, 127);
  evidence.runs[{"fetch", 0}].stderr_tail = "bash: frob: command not found\n";
  const Explanation told = explain_process(evidence, "fetch", {});
  EXPECT_EQ(told.sentence, "try/fetch#0 FAILED: exit status 127: command not found: frob");
  const Card* card = find_card(told, "Last lines of stderr of fetch#0");
  ASSERT_NE(card, nullptr);
  EXPECT_THAT(card->lines, ElementsAre("bash: frob: command not found"));
}

TEST_F(ExplainTest, ASentenceFitsIntoAMessage) {
  end(TaskState::kFailed, std::string(500, 'x') + "\n" + "y");
  const Explanation told = explain_task(evidence);
  EXPECT_EQ(told.sentence.size(), kLongestSentence);
  EXPECT_TRUE(told.sentence.ends_with("..."));
}

TEST_F(ExplainTest, DamagedEvidenceIsNoReasonToFail) {
  evidence.plan.constraints = {{"fetch", "serve"}, {"serve", "fetch"}, {"nobody", "report"}};
  event("end", "nobody", {{"cause", "nonsense"}});
  event("memory", "", {{"cause", "memory"}, {"ends", "task"}, {"biggest.1", "x"}, {"level", "?"}});
  end(TaskState::kFailed, "");
  (void)explain_task(evidence);
  for (const char* name : {"fetch", "serve", "report", "nobody"}) (void)explain_process(evidence, name, {});
  EXPECT_EQ(explain_process(evidence, "fetch", 7).sentence, "try/fetch has no run 7");
}

}  // namespace
}  // namespace dewar
