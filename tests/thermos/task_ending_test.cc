// How a task ends: cleaning, finalizers, kills, limits, a sandbox that dies, processes that will not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/thermos/fake_task.h"

namespace dewar {
namespace {

using namespace dewar::testing;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using enum TaskState;

/// A task with one process that runs for a minute, a second after its start.
struct Running : FakeTask {
  explicit Running(std::vector<ProcessSpec> others = {}, Behaviour how = {.takes = seconds(60)})
      : FakeTask(with(std::move(others))) {
    script["p"] = {std::move(how)};
    start();
    run_for(seconds(1));
  }
  static TaskPlan with(std::vector<ProcessSpec> others) {
    others.push_back(process("p"));
    return task(std::move(others));
  }
};

TEST(Ending, CleaningLastsNoLongerThanTheFinalizationWait) {
  FakeTask t(task({process("main"), process("deaf", ephemeral), process("f", final)}));
  t.script["deaf"] = {{.takes = seconds(600), .on_term = {}}};
  t.start(), t.run();
  EXPECT_EQ(t.clock.now(), Time(seconds(1000 + 1 + 30)));
  EXPECT_THAT(t.runs("deaf"), ElementsAre("KILLED -1"));
  EXPECT_THAT(t.states(), ElementsAre(kActive, kCleaning, kSuccess));
  EXPECT_EQ(t.reason(), "main succeeded; f was not started");
}

TEST(Ending, FinalizersHaveOnlyWhatCleaningLeftOfTheWait) {
  FakeTask t(task({process("main"), process("slow", ephemeral), process("f", final)}));
  t.script["slow"] = {{.takes = seconds(600), .term_takes = seconds(20)}};
  t.script["f"] = {{.takes = seconds(11), .on_term = {}}};
  t.start(), t.run();
  EXPECT_EQ(t.clock.now(), Time(seconds(1000 + 1 + 30)));
  EXPECT_THAT(t.signals, ElementsAre("TERM slow#0", "KILL f#0"));
  EXPECT_THAT(t.runs("f"), ElementsAre("KILLED -1"));
  EXPECT_EQ(t.reason(), "main succeeded; f did not finish");
}

TEST(Ending, AFinalizerIsTriedAgainAsOftenAsItMay) {
  FakeTask t(task({process("main"), process("f", [](ProcessSpec& s) { s.final = true, s.max_failures = 3; })}));
  t.script["f"] = {{.code = 1}, {.code = 1}, {}};
  t.start(), t.run();
  EXPECT_THAT(t.runs("f"), ElementsAre("FAILED 1", "FAILED 1", "SUCCESS 0"));
  EXPECT_EQ(t.reason(), "main succeeded");
}

TEST(Ending, WithoutAnyWaitThereAreNoFinalizers) {
  FakeTask t(task({process("main"), process("f", final)}));
  t.plan.finalization_wait = {};
  t.start(), t.run();
  EXPECT_THAT(t.states(), ElementsAre(kActive, kCleaning, kSuccess));
  EXPECT_THAT(t.runs("f"), IsEmpty());
}

TEST(Ending, AnEphemeralFinalizerIsNotWaitedForButKilled) {
  FakeTask t(
      task({process("main"), process("f", final), process("e", [](ProcessSpec& s) { s.final = s.ephemeral = true; })}));
  t.script["e"] = {{.takes = seconds(100)}};
  t.start(), t.run();
  EXPECT_THAT(t.runs("e"), ElementsAre("KILLED -1"));
  EXPECT_EQ(t.ended, kSuccess);
}

TEST(Ending, AFailureEndsEveryOtherProcessWithSigterm) {
  FakeTask t(task({process("bad"), process("good"), process("side", ephemeral)}));
  t.script["bad"] = {{.code = 2}};
  t.script["good"] = t.script["side"] = {{.takes = seconds(60), .on_term = 143}};
  t.start(), t.run();
  EXPECT_THAT(t.signals, ::testing::UnorderedElementsAre("TERM good#0", "TERM side#0"));
  EXPECT_THAT(t.runs("good"), ElementsAre("FAILED 143"));
  EXPECT_EQ(t.run_of("good").reason, "exit status 143 (from a shell: SIGTERM), after SIGTERM at the end of the task");
  EXPECT_EQ(t.reason(), "bad failed: exit status 2");
}

TEST(Ending, ARunThatIsNotYetExecutedGetsItsSigtermOnceItIs) {
  FakeTask t(task({process("bad"), process("late")}));
  t.script["bad"] = {{.code = 1}};
  t.script["late"] = {{.takes = seconds(60), .exec_after = seconds(5)}};
  t.start(), t.run();
  EXPECT_THAT(t.signals, ElementsAre("TERM late#0"));
  EXPECT_THAT(t.runs("late"), ElementsAre("KILLED -15"));
  EXPECT_EQ(t.clock.now(), Time(seconds(1005)));
}

TEST(Ending, AKillWhileCleaningShortensTheTimeAndSetsTheOutcome) {
  FakeTask t(task({process("main"), process("deaf", ephemeral)}));
  t.script["deaf"] = {{.takes = seconds(600), .on_term = {}}};
  t.start();
  t.run_for(seconds(2));
  t.machine().kill(seconds(3), kKilled, "killed on request");
  t.run();
  EXPECT_EQ(t.clock.now(), Time(seconds(1005)));
  EXPECT_THAT(t.states(), ElementsAre(kActive, kCleaning, kCleaning, kKilled));
  EXPECT_EQ(t.reason(), "killed on request");
}

TEST(Ending, AKillWhileCleaningCannotLengthenTheTime) {
  FakeTask t(task({process("main"), process("deaf", ephemeral)}));
  t.script["deaf"] = {{.takes = seconds(600), .on_term = {}}};
  t.start();
  t.run_for(seconds(2));
  t.machine().kill(seconds(600), kKilled, "killed on request");
  t.run();
  EXPECT_EQ(t.clock.now(), Time(seconds(1031)));
}

TEST(Ending, AKillReplacesTheFinalizationWaitOfARunningTask) {
  Running t({}, {.takes = seconds(600), .on_term = {}});
  t.machine().kill(seconds(100), kKilled, "killed on request");
  t.run();
  EXPECT_EQ(t.clock.now(), Time(seconds(1101)));
}

TEST(Ending, AKillWhileFinalizingLetsTheFinalizerFinish) {
  FakeTask t(task({process("main"), process("f", final)}));
  t.script["f"] = {{.takes = seconds(5)}};
  t.start();
  t.run_for(seconds(2));
  t.machine().kill(seconds(10), kKilled, "killed on request");
  t.run();
  EXPECT_THAT(t.runs("f"), ElementsAre("SUCCESS 0"));
  EXPECT_THAT(t.states(), ElementsAre(kActive, kCleaning, kFinalizing, kFinalizing, kKilled));
}

TEST(Ending, TheSameKillTwiceIsWrittenDownOnce) {
  Running t({}, {.takes = seconds(600), .on_term = {}});
  t.machine().kill(seconds(9), kKilled, "killed on request");
  t.machine().kill(seconds(5), kKilled, "killed on request");
  t.run();
  EXPECT_THAT(t.states(), ElementsAre(kActive, kCleaning, kKilled));
  EXPECT_EQ(t.clock.now(), Time(seconds(1006)));
}

TEST(Ending, AKillAfterTheEndChangesNothing) {
  FakeTask t(task({process("main")}));
  t.start(), t.run();
  const std::size_t written = t.records.size();
  t.machine().kill(seconds(1), kKilled, "late");
  t.machine().fail("late");
  t.machine().sandbox_lost("late");
  t.machine().tick();
  EXPECT_EQ(t.records.size(), written);
}

TEST(Ending, ABrokenLimitFailsTheTaskWithCleaningAndFinalizers) {
  Running t({process("f", final)});
  t.machine().fail("the memory limit of 128.0 MB was reached");
  t.run();
  EXPECT_THAT(t.states(), ElementsAre(kActive, kCleaning, kFinalizing, kFailed));
  EXPECT_THAT(t.runs("p"), ElementsAre("KILLED -15"));
  EXPECT_THAT(t.runs("f"), ElementsAre("SUCCESS 0"));
  EXPECT_EQ(t.reason(), "the memory limit of 128.0 MB was reached");
}

TEST(Ending, ABrokenLimitDoesNotOverruleAKill) {
  Running t({}, {.takes = seconds(600), .term_takes = seconds(2)});
  t.machine().kill(seconds(9), kKilled, "killed on request");
  t.machine().fail("too much disk");
  t.run();
  EXPECT_EQ(t.ended, kKilled);
  EXPECT_EQ(t.reason(), "killed on request");
}

TEST(Ending, ABrokenLimitOverrulesASuccess) {
  FakeTask t(task({process("main"), process("f", final)}));
  t.script["f"] = {{.takes = seconds(5)}};
  t.start();
  t.run_for(seconds(2));
  t.machine().fail("too much disk");
  t.run();
  EXPECT_THAT(t.states(), ElementsAre(kActive, kCleaning, kFinalizing, kFinalizing, kFailed));
}

TEST(Ending, WithItsSandboxTheTaskIsLostWithoutFinalizers) {
  Running t({process("f", final)});
  t.machine().sandbox_lost("the sandbox's first process died");
  t.run();
  EXPECT_THAT(t.states(), ElementsAre(kActive, kCleaning, kLost));
  EXPECT_THAT(t.runs("p"), ElementsAre("KILLED -9"));
  EXPECT_THAT(t.runs("f"), IsEmpty());
  EXPECT_EQ(t.reason(), "the sandbox's first process died; f was not started");
}

TEST(Ending, ASandboxThatIsFoundGoneBeforeTheFirstTickLetsNothingStart) {
  FakeTask t(task({process("p")}));
  t.start();
  t.machine().sandbox_lost("no sandbox");
  t.run();
  EXPECT_THAT(t.launched, IsEmpty());
  EXPECT_EQ(t.ended, kLost);
}

TEST(Ending, ARunThatEndsOtherwiseThanByTheKillIsRecordedAsItEnded) {
  Running t({}, {.takes = seconds(600), .on_term = {}, .on_kill = 0});
  t.machine().kill(seconds(1), kKilled, "killed on request");
  t.run();
  EXPECT_THAT(t.runs("p"), ElementsAre("SUCCESS 0"));
}

TEST(Ending, ARunThatSurvivesSigkillIsLostAfterTenSeconds) {
  Running t({}, {.takes = seconds(600), .on_term = {}, .immortal = true});
  t.machine().kill(seconds(1), kKilled, "killed on request");
  t.run();
  EXPECT_EQ(t.clock.now(), Time(seconds(1000 + 1 + 1 + 10)));
  EXPECT_THAT(t.runs("p"), ElementsAre("LOST"));
  EXPECT_THAT(t.run_of("p").reason, HasSubstr("10 s after SIGKILL"));
  EXPECT_EQ(t.ended, kKilled);
}

TEST(Ending, TheReasonOfARunsEndIsTheLaunchersIfItKnowsMore) {
  FakeTask t(task({process("p")}));
  t.script["p"] = {{.code = 1, .reason = "killed for want of memory"}};
  t.start(), t.run();
  EXPECT_EQ(t.run_of("p").reason, "killed for want of memory");
  EXPECT_EQ(t.reason(), "p failed: killed for want of memory");
}

TEST(Ending, ARunThatHasBrokenALimitOfItsOwnHasFailedWhateverItsCode) {
  for (const int code : {0, -SIGTERM, 3}) {
    FakeTask t(task({process("p")}));
    t.script["p"] = {{.code = code, .reason = "ran longer than its time limit of 5m", .failed = true}};
    t.start(), t.run();
    EXPECT_THAT(t.runs("p"), ElementsAre("FAILED " + std::to_string(code)));
    EXPECT_EQ(t.reason(), "p failed: ran longer than its time limit of 5m");
  }
}

TEST(Ending, TheTasksUsageIsWrittenWithItsLastRecord) {
  FakeTask t(task({process("p")}));
  t.start();
  t.machine().set_usage({.cpu_user_us = 5, .memory_peak_bytes = 7});
  t.run();
  EXPECT_EQ(t.history().usage.memory_peak_bytes, 7);
  EXPECT_EQ(t.history().statuses.back().usage->cpu_user_us, 5);
}

TEST(Ending, CleaningSaysWhyAndWhatTheTaskWillEndAs) {
  Running t;
  t.machine().kill(seconds(5), kKilled, "killed on request");
  t.run();
  const TaskRecord cleaning = t.history().statuses.at(1);
  EXPECT_EQ(cleaning.reason, "killed on request");
  EXPECT_EQ(cleaning.outcome, kKilled);
}

TEST(Ending, ManyNamesAreToldInFew) {
  std::vector<ProcessSpec> all{process("bad")};
  Order order{"bad"};
  for (const char* name : {"a", "b", "c", "d", "e"}) all.push_back(process(name)), order.push_back(name);
  FakeTask t(task(all, {order}));
  t.script["bad"] = {{.code = 1}};
  t.start(), t.run();
  EXPECT_EQ(t.reason(), "bad failed: exit status 1; a, b, c and 2 more were not started");
}

}  // namespace
}  // namespace dewar
