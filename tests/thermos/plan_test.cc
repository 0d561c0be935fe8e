#include "thermos/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/thermos/fake_task.h"

namespace dewar {
namespace {

using namespace dewar::testing;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using enum ProcessState;

Time at(int second) { return Time(seconds(second)); }

std::string complaint(const TaskPlan& plan) {
  const auto checked = check_plan(plan);
  return checked ? "" : checked.error().message();
}

void go(Plan& plan, const std::string& name, ProcessState how, int second = 0) {
  const auto started = plan.start(name);
  ASSERT_TRUE(started) << started.error().message();
  ASSERT_TRUE(plan.end(name, how, at(second)));
}

TEST(Plan, Scenario37_AnEmptyPlanIsCompleteAndNothingIsReady) {
  const TaskPlan empty = task({});
  const Plan plan(empty, false);
  EXPECT_TRUE(plan.complete());
  EXPECT_FALSE(plan.deadlocked());
  EXPECT_THAT(plan.ready(at(0)), IsEmpty());
  EXPECT_FALSE(plan.next_ready(at(0)));
}

TEST(Plan, Scenario39_OfAChainOnlyTheNextIsReadyAndNothingElseCanBeStartedOrEnded) {
  const TaskPlan chain = task({process("p1"), process("p2"), process("p3")}, {{"p1", "p2", "p3"}});
  Plan plan(chain, false);
  EXPECT_THAT(plan.ready(at(0)), ElementsAre("p1"));
  EXPECT_FALSE(plan.start("p2"));
  EXPECT_FALSE(plan.end("p1", kSuccess, at(0)));
  go(plan, "p1", kSuccess);
  EXPECT_THAT(plan.ready(at(0)), ElementsAre("p2"));
  EXPECT_FALSE(plan.start("p1"));
  go(plan, "p2", kSuccess);
  go(plan, "p3", kSuccess);
  EXPECT_TRUE(plan.complete());
}

TEST(Plan, Scenario40_ACircleOfTwoOrThreeIsRefused) {
  EXPECT_THAT(complaint(task({process("a"), process("b")}, {{"a", "b"}, {"b", "a"}})), HasSubstr("circle: 'a', 'b'"));
  EXPECT_THAT(complaint(task({process("a"), process("b"), process("c")}, {{"a", "b", "c", "a"}})),
              HasSubstr("circle: 'a', 'b', 'c'"));
  EXPECT_THAT(complaint(task({process("a")}, {{"a", "a"}})), HasSubstr("circle: 'a'"));
  EXPECT_EQ(complaint(task({process("a"), process("b"), process("c")}, {{"a", "b"}, {"a", "c"}, {"b", "c"}})), "");
}

TEST(Plan, Scenario41_WithOnlyAnEphemeralProcessIsCompleteFromTheStartAndItNeverFails) {
  const TaskPlan only = task({process("p1", ephemeral)});
  Plan plan(only, false);
  EXPECT_TRUE(plan.complete());
  go(plan, "p1", kFailed);
  EXPECT_THAT(plan.finished(), ElementsAre("p1"));
  EXPECT_THAT(plan.failed(), IsEmpty());
}

TaskPlan daemon_with(std::uint32_t max_failures) {
  return task({process("d", [=](ProcessSpec& spec) { spec.daemon = true, spec.max_failures = max_failures; })});
}

TEST(Plan, Scenario43_ADaemonIsDoneOnlyWhenItHasFailedOftenEnough) {
  const TaskPlan once = daemon_with(1), twice = daemon_with(2);
  Plan first(once, false);
  go(first, "d", kFailed);
  EXPECT_TRUE(first.complete());
  Plan second(twice, false);
  go(second, "d", kFailed);
  EXPECT_FALSE(second.complete());
  go(second, "d", kFailed);
  EXPECT_TRUE(second.complete());
  Plan third(twice, false);
  go(third, "d", kFailed), go(third, "d", kSuccess);
  EXPECT_FALSE(third.complete());
  go(third, "d", kFailed);
  EXPECT_TRUE(third.complete());
  EXPECT_THAT(third.failed(), ElementsAre("d"));
}

TEST(Plan, Scenario45_NothingWaitsForADaemonAndOnlyAnEphemeralForAnEphemeral) {
  const auto daemon = [](ProcessSpec& spec) { spec.daemon = true; };
  EXPECT_THAT(complaint(task({process("d", daemon), process("p")}, {{"d", "p"}})), HasSubstr("daemon never finishes"));
  EXPECT_THAT(complaint(task({process("e", ephemeral), process("p")}, {{"e", "p"}})), HasSubstr("ephemeral"));
  EXPECT_EQ(complaint(task({process("e", ephemeral), process("f", ephemeral)}, {{"e", "f"}})), "");
  EXPECT_EQ(complaint(task({process("p"), process("d", daemon)}, {{"p", "d"}})), "");
}

TEST(Plan, Scenario46_OnlyASuccessLetsTheNextOneRun) {
  const TaskPlan pair = task({process("p1"), process("p2")}, {{"p1", "p2"}});
  Plan good(pair, false), bad(pair, false);
  go(good, "p1", kSuccess);
  EXPECT_THAT(good.ready(at(0)), ElementsAre("p2"));
  go(bad, "p1", kFailed);
  EXPECT_THAT(bad.ready(at(1000)), IsEmpty());
  EXPECT_FALSE(bad.complete());
  EXPECT_TRUE(bad.deadlocked());
}

TEST(Plan, Scenario49_ALossWaitsLikeAFailureButIsNotCounted) {
  const TaskPlan two = task({process("p", tries(2))});
  Plan plan(two, false);
  go(plan, "p", kFailed, 1);
  EXPECT_EQ(plan.next_ready(at(1)), at(2));
  EXPECT_THAT(plan.ready(at(1)), IsEmpty());
  EXPECT_THAT(plan.ready(at(2)), ElementsAre("p"));
  go(plan, "p", kLost, 2);
  EXPECT_EQ(plan.next_ready(at(2)), at(3));
  go(plan, "p", kFailed, 3);
  EXPECT_FALSE(plan.next_ready(at(3)));
  EXPECT_THAT(plan.failed(), ElementsAre("p"));
}

TEST(Plan, Scenario51_WithoutALimitOfFailuresAProcessNeverFails) {
  const TaskPlan patient = task({process("p", tries(0))}), daemon = daemon_with(0);
  Plan plan(patient, false);
  go(plan, "p", kFailed);
  EXPECT_FALSE(plan.complete());
  go(plan, "p", kSuccess);
  EXPECT_THAT(plan.finished(), ElementsAre("p"));
  Plan endless(daemon, false);
  for (int i = 0; i < 10; ++i) go(endless, "d", kFailed), go(endless, "d", kSuccess);
  EXPECT_THAT(endless.finished(), IsEmpty());
  EXPECT_THAT(endless.failed(), IsEmpty());
}

TEST(Plan, Scenario52_AnOrderOfARegularAndAFinalProcessIsRefused) {
  EXPECT_THAT(complaint(task({process("r"), process("f", final)}, {{"r", "f"}})), HasSubstr("one of them is final"));
  EXPECT_THAT(complaint(task({process("r"), process("f", final)}, {{"f", "r"}})), HasSubstr("one of them is final"));
}

TEST(Plan, OfTwoProcessesWithOneNameOrOfAnUnknownNameIsRefused) {
  EXPECT_THAT(complaint(task({process("a"), process("a")})), HasSubstr("two processes are named 'a'"));
  EXPECT_THAT(complaint(task({process("a")}, {{"a", "b"}})), HasSubstr("'b', which is no process"));
  EXPECT_THAT(complaint(task({process("a")}, {{"b"}})), HasSubstr("'b', which is no process"));
}

TEST(Plan, HoldsEitherTheRegularOrTheFinalProcesses) {
  const TaskPlan both = task({process("r"), process("f", final), process("g", final)}, {{"f", "g"}});
  EXPECT_THAT(Plan(both, false).ready(at(0)), ElementsAre("r"));
  EXPECT_THAT(Plan(both, true).ready(at(0)), ElementsAre("f"));
}

TEST(Plan, AProcessThatReachesTheCapOfRunsHasFailedButAnEphemeralOneIsFinished) {
  const TaskPlan both = task({process("p", tries(0)), process("e", ephemeral)});
  Plan plan(both, false);
  for (std::uint32_t i = 1; i < Plan::kMaxRuns; ++i) go(plan, "p", kLost), go(plan, "e", kLost);
  EXPECT_THAT(plan.ready(at(1)), ElementsAre("p", "e"));
  go(plan, "p", kKilled), go(plan, "e", kKilled);
  EXPECT_THAT(plan.failed(), ElementsAre("p"));
  EXPECT_THAT(plan.finished(), ElementsAre("e"));
}

RunHistory run(ProcessState state) {
  RunHistory out;
  out.state = state;
  return out;
}

TEST(Plan, RestoredStandsWhereTheRunsLeftItWithItsWaitsBegunAnew) {
  const TaskPlan some = task({process("a"), process("b", tries(2)), process("c")}, {{"a", "b"}});
  Plan plan(some, false);
  ASSERT_TRUE(plan.restore("a", {run(kLost), run(kSuccess)}, at(50)));
  ASSERT_TRUE(plan.restore("b", {run(kFailed)}, at(50)));
  ASSERT_TRUE(plan.restore("c", {run(kRunning)}, at(50)));
  ASSERT_TRUE(plan.check_order());
  EXPECT_EQ(plan.running(), 1u);
  EXPECT_THAT(plan.finished(), ElementsAre("a"));
  EXPECT_EQ(plan.next_ready(at(50)), at(51));
}

TEST(Plan, RestoredLaunchesAtOnceWhatWasAboutToBe) {
  const TaskPlan one = task({process("a")});
  Plan plan(one, false);
  ASSERT_TRUE(plan.restore("a", {run(kLost), run(kWaiting)}, at(50)));
  EXPECT_THAT(plan.ready(at(50)), ElementsAre("a"));
}

TEST(Plan, IsNotRestoredFromRunsThatDoNotFit) {
  const TaskPlan pair = task({process("a"), process("b")}, {{"a", "b"}});
  Plan unknown(pair, false), again(pair, false), early(pair, false);
  EXPECT_FALSE(unknown.restore("z", {run(kSuccess)}, at(0)));
  EXPECT_FALSE(again.restore("a", {run(kSuccess), run(kRunning)}, at(0)));
  ASSERT_TRUE(early.restore("b", {run(kRunning)}, at(0)));
  EXPECT_FALSE(early.check_order());
}

}  // namespace
}  // namespace dewar
