#include "thermos/task_machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/thermos/fake_task.h"

namespace dewar {
namespace {

using namespace dewar::testing;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using enum TaskState;

const auto kWholeLife = ElementsAre(kActive, kCleaning, kFinalizing, kSuccess);

TEST(Machine, Scenario01_OneProcessPassesThroughAllStates) {
  FakeTask t(task({process("echo")}));
  t.start(), t.run();
  EXPECT_THAT(t.states(), kWholeLife);
  EXPECT_THAT(t.runs("echo"), ElementsAre("SUCCESS 0"));
  EXPECT_EQ(t.run_of("echo").seq, 3);
  EXPECT_EQ(t.reason(), "echo succeeded");
}

TEST(Machine, AFreshStreamIsInThermossOrder) {
  FakeTask t(task({process("p")}));
  t.start(), t.run();
  std::string order;
  for (const Record& record : t.records) {
    if (const auto* status = std::get_if<TaskRecord>(&record)) order += std::string(to_string(status->state)) + " ";
    if (std::holds_alternative<HeaderRecord>(record)) order += "header ";
    if (const auto* p = std::get_if<ProcessRecord>(&record)) {
      order += std::string(to_string(p->state)) + ":" + std::to_string(p->seq) + " ";
    }
  }
  EXPECT_EQ(order, "ACTIVE header WAITING:0 FORKED:1 RUNNING:2 SUCCESS:3 CLEANING FINALIZING SUCCESS ");
}

TEST(Machine, Scenario02_TheRecordsAddUpToTheLiveHistory) {
  FakeTask t(task({process("a", tries(2)), process("b"), process("f", final)}, {{"a", "b"}}));
  t.script["a"] = {{.code = 4}, {}};
  t.start(), t.run();
  EXPECT_EQ(t.history(), t.machine().history());
  const RunHistory run = t.run_of("b");
  EXPECT_LE(*run.fork_time, *run.start_time);
  EXPECT_LT(*run.start_time, *run.stop_time);
}

TEST(Machine, Scenario03_ProcessesThatSucceedAtTheFirstSecondAndThirdTry) {
  FakeTask t(task({process("p1", tries(5)), process("p2", tries(5)), process("p3", tries(5))}));
  t.script["p2"] = {{.code = 1}, {}};
  t.script["p3"] = {{.code = 1}, {.code = 1}, {}};
  t.start(), t.run();
  EXPECT_THAT(t.runs("p1"), ElementsAre("SUCCESS 0"));
  EXPECT_THAT(t.runs("p2"), ElementsAre("FAILED 1", "SUCCESS 0"));
  EXPECT_THAT(t.runs("p3"), ElementsAre("FAILED 1", "FAILED 1", "SUCCESS 0"));
  EXPECT_EQ(t.ended, kSuccess);
  EXPECT_EQ(t.reason(), "all 3 processes succeeded");
}

TEST(Machine, Scenario05_AProcessThatAlwaysFailsIsRunThreeTimes) {
  FakeTask t(task({process("p", tries(3))}));
  t.script["p"] = {{.code = 22}};
  t.start(), t.run();
  EXPECT_THAT(t.runs("p"), ElementsAre("FAILED 22", "FAILED 22", "FAILED 22"));
  EXPECT_THAT(t.states(), ElementsAre(kActive, kCleaning, kFinalizing, kFailed));
  EXPECT_EQ(t.reason(), "p failed 3 of 3 times: exit status 22");
}

TEST(Machine, Scenario06_AFailureInTheChainEndsTheTaskWhoseNextProcessNeverStarts) {
  FakeTask t(task({process("a"), process("b"), process("c")}, {{"a", "b", "c"}}));
  t.plan.max_failures = 2;
  t.script["b"] = {{.code = 1}};
  t.start(), t.run();
  EXPECT_THAT(t.runs("a"), ElementsAre("SUCCESS 0"));
  EXPECT_THAT(t.runs("b"), ElementsAre("FAILED 1"));
  EXPECT_FALSE(t.history().processes.contains("c"));
  EXPECT_EQ(t.ended, kFailed);
  EXPECT_EQ(t.reason(), "b failed: exit status 1; c was not started");
}

TEST(Machine, Scenario09_ATaskWithAFailureToSpareAndAFinalizerSurvivesACrashAtEveryRecord) {
  for (std::size_t crash = 1; crash < 40; ++crash) {
    FakeTask t(task({process("a"), process("b", tries(2)), process("c", final)}, {{"a", "b"}}));
    t.plan.max_failures = 2;
    t.script["b"] = {{.code = 1}};
    t.crash_at = crash;
    std::size_t crashes = 0;
    for (bool alive = false; !t.ended;) {
      try {
        alive ? void() : t.records.empty() ? t.start() : t.restart();
        alive = true;
        ASSERT_TRUE(t.step());
      } catch (const FakeTask::Crash&) {
        alive = false;
        t.crash_at = t.records.size() + crash % 7 + ++crashes;  // ever later, or it would never get anywhere
        if (t.history().terminal()) break;
      }
    }
    EXPECT_THAT(t.runs("a").back(), "SUCCESS 0");
    EXPECT_THAT(t.runs("b").back(), "FAILED 1");
    EXPECT_THAT(t.runs("c").back(), "SUCCESS 0");
    EXPECT_EQ(t.history().state(), kSuccess);
    EXPECT_EQ(t.reason(), "1 of 2 processes succeeded; b failed 2 of 2 times: exit status 1");
  }
}

TEST(Machine, Scenario10_ADiamondOfSixRunsInItsOrder) {
  std::vector<ProcessSpec> all;
  std::vector<Order> orders;
  for (int i = 1; i <= 6; ++i) all.push_back(process("t" + std::to_string(i)));
  for (const char* upper : {"t1", "t2"})
    for (const char* middle : {"t3", "t4"}) orders.push_back({upper, middle});
  for (const char* middle : {"t3", "t4"})
    for (const char* lower : {"t5", "t6"}) orders.push_back({middle, lower});
  FakeTask t(task(all, orders));
  t.start(), t.run();
  for (const ProcessSpec& spec : all) EXPECT_THAT(t.runs(spec.name), ElementsAre("SUCCESS 0"));
  EXPECT_EQ(t.launched_in_order[0].first, "t1");
  for (const char* early : {"t1", "t2"}) EXPECT_LE(*t.run_of(early).stop_time, *t.run_of("t3").fork_time);
  for (const char* early : {"t3", "t4"}) EXPECT_LE(*t.run_of(early).stop_time, *t.run_of("t6").fork_time);
  EXPECT_EQ(t.history().header->task_id, "t");
}

TEST(Machine, Scenario12_OneAtATimeWithoutAskingToBeWoken) {
  FakeTask t(task({process("a"), process("b"), process("c")}));
  t.plan.max_concurrency = 1;
  t.start(), t.run();
  EXPECT_EQ(t.most_at_once, 1u);
  for (const char* name : {"a", "b", "c"}) EXPECT_THAT(t.runs(name), ElementsAre("SUCCESS 0"));
  EXPECT_GE(*t.run_of("b").start_time - *t.run_of("a").start_time, 1.0);
  EXPECT_GE(*t.run_of("c").start_time - *t.run_of("b").start_time, 1.0);
  EXPECT_EQ(t.wakes_asked, 1) << "only the first tick";
}

TEST(Machine, NoWakeUpIsAskedForWhileThereIsNothingToWaitFor) {
  FakeTask t(task({process("p")}));
  t.script["p"] = {{.takes = std::chrono::hours(1)}};
  t.start();
  t.run_for(seconds(10));
  EXPECT_FALSE(t.wake);
}

TEST(Machine, TheNextOfAChainStartsAtTheVeryMomentTheOneBeforeEnds) {
  FakeTask t(task({process("a"), process("b")}, {{"a", "b"}}));
  t.start(), t.run();
  EXPECT_EQ(*t.run_of("a").stop_time, *t.run_of("b").fork_time);
}

TEST(Machine, MinDurationIsKeptToTheNanosecondFromTheEndOfTheRunBefore) {
  FakeTask t(task({process("p", [](ProcessSpec& spec) { spec.max_failures = 2, spec.min_duration = seconds(7); })}));
  t.script["p"] = {{.code = 1}, {}};
  t.start();
  t.run_for(seconds(1));  // it has failed
  const Time failed = t.clock.now();
  EXPECT_EQ(t.wake, failed + seconds(7));
  t.run_for(seconds(7) - std::chrono::nanoseconds(1));
  EXPECT_EQ(t.launched.size(), 1u);
  t.run_for(std::chrono::nanoseconds(1));
  EXPECT_EQ(t.launched.size(), 2u);
}

TEST(Machine, ARetryWaitsForAPlaceWhenThereIsACapAndNoWakeUpIsAskedFor) {
  FakeTask t(task({process("a", tries(2)), process("b")}));
  t.plan.max_concurrency = 1;
  t.script["a"] = {{.code = 1}, {}};
  t.script["b"] = {{.takes = seconds(60)}};
  t.start();
  t.run_for(seconds(30));
  EXPECT_FALSE(t.wake);
  EXPECT_THAT(t.runs("a"), ElementsAre("FAILED 1"));
  t.run();
  EXPECT_THAT(t.runs("a"), ElementsAre("FAILED 1", "SUCCESS 0"));
}

TEST(Machine, Scenario18_ATaskThatHasEndedIsNotResumed) {
  FakeTask t(task({process("p")}));
  t.start(), t.run();
  TaskMachine another(t.plan, t.clock, t);
  const auto resumed = another.resume(t.history());
  ASSERT_FALSE(resumed);
  EXPECT_THAT(resumed.error().message(), HasSubstr("the task has ended: SUCCESS"));
}

TEST(Machine, Scenario19_ALaunchThatIsImpossibleFailsTheRunAndIsCounted) {
  FakeTask t(task({process("p", tries(2)), process("q")}));
  t.script["p"] = {{.refusal = "no space"}};
  t.script["q"] = {{.takes = seconds(20)}};
  t.plan.max_failures = 2;
  t.start(), t.run();
  EXPECT_THAT(t.runs("p"), ElementsAre("FAILED", "FAILED"));
  EXPECT_THAT(t.runs("q"), ElementsAre("SUCCESS 0"));
  EXPECT_EQ(t.run_of("p").reason, "no space");
  EXPECT_EQ(t.run_of("p").seq, 1);
  EXPECT_EQ(t.reason(), "1 of 2 processes succeeded; p failed 2 of 2 times: no space");
}

TEST(Machine, ALaunchThatTheLauncherRefusesFailsTheForkedRun) {
  FakeTask t(task({process("p")}));
  t.script["p"] = {{.refusal = "step pivot_root: Permission denied", .refused_late = true}};
  t.start(), t.run();
  EXPECT_THAT(t.runs("p"), ElementsAre("FAILED"));
  EXPECT_EQ(t.reason(), "p failed: step pivot_root: Permission denied");
}

TEST(Machine, Scenario20_ASignalFromOutsideCostsNoFailure) {
  FakeTask t(task({process("sleep")}));
  t.script["sleep"] = {{.takes = seconds(3)}};
  t.start();
  t.run_for(seconds(1));
  t.kill_from_outside("sleep", SIGKILL);
  t.run();
  EXPECT_THAT(t.runs("sleep"), ElementsAre("KILLED -9", "SUCCESS 0"));
  EXPECT_EQ(t.run_of("sleep").reason, "killed by SIGKILL (9)");
  EXPECT_EQ(t.ended, kSuccess);
}

TEST(Machine, Scenario22_AShellThatSurvivesItsChildFails) {
  FakeTask t(task({process("p")}));
  t.script["p"] = {{.code = 137}};
  t.start(), t.run();
  EXPECT_THAT(t.runs("p"), ElementsAre("FAILED 137"));
  EXPECT_EQ(t.reason(), "p failed: exit status 137 (from a shell: SIGKILL)");
  EXPECT_EQ(t.ended, kFailed);
}

TEST(Machine, AMissingCommandIsNamedAsSuch) {
  FakeTask t(task({process("p")}));
  t.script["p"] = {{.code = 127}};
  t.start(), t.run();
  EXPECT_EQ(t.run_of("p").reason, "exit status 127: command not found");
}

TEST(Machine, Scenario23_ALostRunIsRunAgainAndCostsNoFailure) {
  FakeTask t(task({process("p")}));
  t.start();
  t.run_for(milliseconds(500));
  t.lose_from_outside("p");
  t.run();
  EXPECT_THAT(t.runs("p"), ElementsAre("LOST", "SUCCESS 0"));
  EXPECT_GE(*t.run_of("p", 1).fork_time - *t.run_of("p", 0).stop_time, 1.0);
  EXPECT_EQ(t.ended, kSuccess);
}

TEST(Machine, Scenario25_AKillAfterEverythingHasDiedFindsOneLostRun) {
  FakeTask t(task({process("p")}));
  t.script["p"] = {{.takes = seconds(60)}};
  t.start();
  t.run_for(seconds(1));
  t.lose_from_outside("p");
  t.restart();
  t.machine().kill(seconds(60), kKilled, "killed on request");
  t.run();
  EXPECT_THAT(t.runs("p"), ElementsAre("LOST"));
  EXPECT_THAT(t.states(), ElementsAre(kActive, kActive, kCleaning, kFinalizing, kKilled));
}

TEST(Machine, Scenario27_AKillSendsSigtermAndRunsTheFinalizers) {
  FakeTask t(task({process("sleep"), process("f", final)}));
  t.script["sleep"] = {{.takes = seconds(60)}};
  t.start();
  t.run_for(seconds(1));
  t.machine().kill(seconds(20), kKilled, "killed on request");
  t.run();
  EXPECT_THAT(t.runs("sleep"), ElementsAre("KILLED -15"));
  EXPECT_EQ(t.run_of("sleep").reason, "ended by SIGTERM at the end of the task");
  EXPECT_THAT(t.runs("f"), ElementsAre("SUCCESS 0"));
  EXPECT_THAT(t.states(), ElementsAre(kActive, kCleaning, kFinalizing, kKilled));
  EXPECT_EQ(t.reason(), "killed on request");
  EXPECT_THAT(t.signals, ElementsAre("TERM sleep#0"));
}

TEST(Machine, AKillOfWhatIgnoresSigtermTakesTheWholeTimeAndLeavesNoneForFinalizers) {
  FakeTask t(task({process("deaf"), process("f", final)}));
  t.script["deaf"] = {{.takes = seconds(60), .on_term = {}}};
  t.start();
  t.run_for(seconds(1));
  const Time asked = t.clock.now();
  t.machine().kill(seconds(3), kKilled, "killed on request");
  t.run();
  EXPECT_EQ(t.clock.now() - asked, seconds(3));
  EXPECT_THAT(t.signals, ElementsAre("TERM deaf#0", "KILL deaf#0"));
  EXPECT_THAT(t.runs("deaf"), ElementsAre("KILLED -1"));
  EXPECT_EQ(t.run_of("deaf").reason, "killed at the end of the task (SIGKILL)");
  EXPECT_THAT(t.runs("f"), IsEmpty());
  EXPECT_THAT(t.states(), ElementsAre(kActive, kCleaning, kKilled));
  EXPECT_EQ(t.reason(), "killed on request; f was not started");
}

TEST(Machine, Scenario31_LoseKillsAtOnceAndTheTaskIsLost) {
  FakeTask t(task({process("p"), process("f", final)}));
  t.script["p"] = {{.takes = seconds(60)}};
  t.start();
  t.run_for(seconds(1));
  const Time asked = t.clock.now();
  t.machine().kill(Duration{}, kLost, "told to lose the task");
  t.run();
  EXPECT_EQ(t.clock.now(), asked);
  EXPECT_THAT(t.states(), ElementsAre(kActive, kCleaning, kLost));
  EXPECT_THAT(t.runs("f"), IsEmpty());
}

TEST(Machine, Scenario32_ARunnerThatComesBackAfterTheEndFindsItAndRunsNothingAgain) {
  FakeTask t(task({process("p")}));
  t.script["p"] = {{.takes = seconds(4)}};
  t.start();
  t.run_for(seconds(1));
  t.clock.advance_to(t.clock.now() + seconds(10));  // nobody watches
  t.restart();
  t.run();
  EXPECT_THAT(t.runs("p"), ElementsAre("SUCCESS 0"));
  EXPECT_THAT(t.states(), ElementsAre(kActive, kActive, kCleaning, kFinalizing, kSuccess));
  EXPECT_EQ(t.history().statuses[1].runner_pid, 4001);
  EXPECT_EQ(t.history().statuses[1].boot_id, "boot");
}

TEST(Machine, Scenario53_AFinalizerRunsAfterTheRegularProcesses) {
  FakeTask t(task({process("main"), process("f", final)}));
  t.start(), t.run();
  EXPECT_THAT(t.runs("main"), ElementsAre("SUCCESS 0"));
  EXPECT_THAT(t.runs("f"), ElementsAre("SUCCESS 0"));
  EXPECT_EQ(t.ended, kSuccess);
}

TEST(Machine, Scenario54_FinalizersKeepTheirOwnOrder) {
  FakeTask t(task({process("f2", final), process("f1", final), process("main")}, {{"f1", "f2"}}));
  t.start(), t.run();
  EXPECT_LE(*t.run_of("main").stop_time, *t.run_of("f1").start_time);
  EXPECT_LE(*t.run_of("f1").stop_time, *t.run_of("f2").start_time);
}

TEST(Machine, Scenario57_AFinalizerRunsAfterAFailureAndDoesNotHealIt) {
  FakeTask t(task({process("main"), process("f", final)}));
  t.script["main"] = {{.code = 1}};
  t.start(), t.run();
  EXPECT_THAT(t.runs("f"), ElementsAre("SUCCESS 0"));
  EXPECT_EQ(t.ended, kFailed);
}

TEST(Machine, AFinalizerThatFailsDoesNotSpoilASuccessButIsTold) {
  FakeTask t(task({process("main"), process("f1", final), process("f2", final)}, {{"f1", "f2"}}));
  t.script["f1"] = {{.code = 5}};
  t.start(), t.run();
  EXPECT_EQ(t.ended, kSuccess);
  EXPECT_EQ(t.reason(), "main succeeded; f1 failed: exit status 5; f2 was not started");
}

TEST(Machine, Scenario59_AnEphemeralProcessIsEndedWithTheTask) {
  FakeTask t(task({process("main"), process("side", ephemeral)}));
  t.script["side"] = {{.takes = seconds(10)}};
  t.start(), t.run();
  EXPECT_THAT(t.runs("main"), ElementsAre("SUCCESS 0"));
  EXPECT_THAT(t.runs("side"), ElementsAre("KILLED -15"));
  EXPECT_EQ(t.ended, kSuccess);
}

TEST(Machine, Scenario60_OnlyEphemeralProcessesMeanSuccessWithoutRunningAnything) {
  FakeTask t(task({process("side", ephemeral)}));
  t.start(), t.run();
  EXPECT_THAT(t.launched, IsEmpty());
  EXPECT_THAT(t.states(), kWholeLife);
  EXPECT_EQ(t.reason(), "there is no process to wait for");
}

TEST(Machine, Scenario61_AnEphemeralDaemonThatReachesTheCapOfRunsHarmsNobody) {
  FakeTask t(task({process("main"), process("side", [](ProcessSpec& spec) { spec.daemon = spec.ephemeral = true; })}));
  t.script["main"] = {{.takes = seconds(1000)}};
  t.start(), t.run();
  EXPECT_EQ(t.runs("side").size(), Plan::kMaxRuns);
  EXPECT_EQ(t.ended, kSuccess);
}

TEST(Machine, ARunPastTheCapFailsTheTaskWithItsReason) {
  FakeTask t(task({process("p", tries(0))}));
  t.script["p"] = {{.code = 1}};
  t.start(), t.run();
  EXPECT_EQ(t.runs("p").size(), Plan::kMaxRuns);
  EXPECT_EQ(t.reason(), "p was run 100 times, which is the most there is");
}

}  // namespace
}  // namespace dewar
