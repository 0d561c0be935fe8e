// Runners that die, at every record, and those that take over; and random tasks that must keep the rules.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "tests/thermos/fake_task.h"

namespace dewar {
namespace {

using namespace dewar::testing;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using enum TaskState;

TEST(Recovery, ALivingRunIsKeptAndNotStartedAgain) {
  FakeTask t(task({process("p")}));
  t.script["p"] = {{.takes = seconds(10)}};
  t.start();
  t.run_for(seconds(3));
  t.restart();
  t.run_for(seconds(3));
  EXPECT_THAT(t.launched_in_order.size(), 1u);
  t.run();
  EXPECT_THAT(t.runs("p"), ElementsAre("SUCCESS 0"));
}

TEST(Recovery, ARunThatWasOnlyAnnouncedIsLaunchedUnderItsNumber) {
  FakeTask t(task({process("p")}));
  t.crash_at = 3;  // ACTIVE, header, WAITING
  t.start();
  EXPECT_THROW(t.step(), FakeTask::Crash);
  t.restart();
  t.run();
  EXPECT_THAT(t.launched_in_order, ElementsAre(std::pair<std::string, int>{"p", 0}));
  EXPECT_THAT(t.runs("p"), ElementsAre("SUCCESS 0"));
}

TEST(Recovery, ARunThatWasForkedButNeverToldToGoIsLostAndRunAgain) {
  FakeTask t(task({process("p")}));
  t.crash_at = 4;  // FORKED
  t.start();
  EXPECT_THROW(t.step(), FakeTask::Crash);
  t.restart();
  t.run();
  EXPECT_THAT(t.runs("p"), ElementsAre("LOST", "SUCCESS 0"));
  EXPECT_THAT(t.launched_in_order, ElementsAre(std::pair<std::string, int>{"p", 1}));
}

TEST(Recovery, AWaitOfMinDurationBeginsAnew) {
  FakeTask t(task({process("p", tries(2))}));
  t.plan.processes[0].min_duration = seconds(10);
  t.script["p"] = {{.code = 1}, {}};
  t.start();
  t.run_for(seconds(9));  // failed after one, so two are left
  t.restart();
  const Time restarted = t.clock.now();
  t.run_until([&] { return t.launched.size() == 2; });
  EXPECT_EQ(t.clock.now(), restarted + seconds(10));
}

TEST(Recovery, CleaningBeginsAnewWithItsWholeWaitItsSigtermAndItsOutcome) {
  FakeTask t(task({process("deaf")}));
  t.script["deaf"] = {{.takes = seconds(600), .on_term = {}}};
  t.start();
  t.run_for(seconds(1));
  t.machine().kill(seconds(20), kKilled, "killed on request");
  t.run_for(seconds(10));
  t.restart();
  EXPECT_THAT(t.signals, ElementsAre("TERM deaf#0")) << "nothing before the first tick";
  t.run();
  EXPECT_EQ(t.clock.now(), Time(seconds(1000 + 1 + 10 + 30)));
  EXPECT_THAT(t.signals, ElementsAre("TERM deaf#0", "TERM deaf#0", "KILL deaf#0"));
  EXPECT_THAT(t.states(), ElementsAre(kActive, kCleaning, kCleaning, kKilled));
  EXPECT_EQ(t.reason(), "killed on request");
}

TEST(Recovery, FinalizingKeepsALivingFinalizer) {
  FakeTask t(task({process("main"), process("f", final)}));
  t.script["f"] = {{.takes = seconds(10)}};
  t.start();
  t.run_for(seconds(3));
  t.restart();
  t.run();
  EXPECT_THAT(t.signals, IsEmpty());
  EXPECT_THAT(t.runs("f"), ElementsAre("SUCCESS 0"));
  EXPECT_THAT(t.states(), ElementsAre(kActive, kCleaning, kFinalizing, kFinalizing, kSuccess));
}

TEST(Recovery, OnlyToKillStartsNothing) {
  FakeTask t(task({process("a"), process("b")}, {{"a", "b"}}));
  t.start();
  t.run_for(milliseconds(500));
  t.lose_from_outside("a");
  t.restart();
  t.machine().kill(seconds(5), kKilled, "killed by its next runner");
  t.run();
  EXPECT_THAT(t.launched_in_order.size(), 1u);
  EXPECT_EQ(t.ended, kKilled);
}

TEST(Recovery, ARunThatWasAnnouncedBeforeAKillIsClosed) {
  FakeTask t(task({process("p")}));
  t.crash_at = 3;
  t.start();
  EXPECT_THROW(t.step(), FakeTask::Crash);
  t.restart();
  t.machine().kill(seconds(5), kKilled, "killed on request");
  t.run();
  EXPECT_THAT(t.launched, IsEmpty());
  EXPECT_THAT(t.runs("p"), ElementsAre("FAILED"));
  EXPECT_EQ(t.run_of("p").reason, "not started: the task ended first");
}

TEST(Recovery, AHistoryOfAnotherTaskIsRefused) {
  FakeTask t(task({process("p")}));
  t.script["p"] = {{.takes = seconds(10)}};
  t.start();
  t.run_for(seconds(3));
  const TaskPlan other = task({process("q")});
  TaskMachine machine(other, t.clock, t);
  const auto resumed = machine.resume(t.history());
  ASSERT_FALSE(resumed);
  EXPECT_THAT(resumed.error().message(), HasSubstr("no process 'p'"));
}

/// Retries, an order, an ephemeral process, a loss, and finalizers of which one fails.
FakeTask scripted() {
  FakeTask t(task({process("fetch", tries(3)), process("config"), process("serve"), process("side", ephemeral),
                   process("f1", final), process("f2", final)},
                  {{"fetch", "serve"}, {"config", "serve"}}));
  t.script["fetch"] = {{.code = 22}, {.lost = true}, {}};
  t.script["side"] = {{.takes = seconds(500), .term_takes = seconds(1)}};
  t.script["f2"] = {{.code = 1}};
  return t;
}

/// Runs until the runner dies; true if the task has ended instead.
bool ends_without_crash(FakeTask& t) {
  try {
    t.run();
    return true;
  } catch (const FakeTask::Crash&) {
    return t.history().terminal();
  }
}

TEST(Recovery, ACrashAfterAnyRecordEndsAsItMustWithNothingStartedTwice) {
  FakeTask whole = scripted();
  whole.start(), whole.run();
  for (std::size_t crash = 3; crash <= whole.records.size(); ++crash) {
    SCOPED_TRACE("the runner died after record " + std::to_string(crash));
    FakeTask t = scripted();
    t.crash_at = crash;
    t.start();
    if (!ends_without_crash(t)) {
      t.restart();
      t.run();
    }
    EXPECT_EQ(t.history().state(), kSuccess);
    for (const char* name : {"fetch", "config", "serve"}) EXPECT_EQ(t.runs(name).back(), "SUCCESS 0") << name;
    EXPECT_EQ(t.runs("f1").back(), "SUCCESS 0");
    EXPECT_EQ(t.runs("f2").back(), "FAILED 1");
    // FakeTask has checked: no run is launched twice, no process has two runs at once, none outlives the task.
  }
}

TEST(Recovery, ACrashOfAKilledTaskAfterAnyRecordStillEndsAsKilled) {
  for (std::size_t crash = 1; crash < 12; ++crash) {
    SCOPED_TRACE("the runner died " + std::to_string(crash) + " records after the kill");
    FakeTask t = scripted();
    t.start();
    t.run_for(milliseconds(2500));
    t.crash_at = t.records.size() + crash;
    bool over = false;
    try {
      t.machine().kill(seconds(20), kKilled, "killed on request");
      over = ends_without_crash(t);
    } catch (const FakeTask::Crash&) {
    }
    if (!over) {
      t.restart();
      t.run();
    }
    EXPECT_EQ(t.history().state(), kKilled);
    EXPECT_THAT(t.reason(), HasSubstr("killed on request"));
    EXPECT_THAT(t.runs("serve"), IsEmpty());
  }
}

// Random tasks: every seed is another graph with other ends.

Behaviour random_behaviour(std::mt19937& random) {
  const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  Behaviour how;
  how.takes = milliseconds(pick(5000));
  how.exec_after = milliseconds(pick(3) == 0 ? pick(100) : 0);
  const int codes[] = {0, 0, 0, 1, 127, -9, -15};
  how.code = codes[pick(7)];
  how.lost = pick(10) == 0;
  if (pick(12) == 0) how.refusal = "refused", how.refused_late = pick(2) == 0;
  if (pick(4) == 0) how.on_term = std::nullopt;
  how.term_takes = milliseconds(pick(3000));
  how.immortal = pick(40) == 0;
  return how;
}

FakeTask random_task(std::mt19937& random) {
  const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  std::vector<ProcessSpec> all;
  std::vector<Order> orders;
  const int count = 1 + pick(8);
  for (int i = 0; i < count; ++i) {
    all.push_back(process("p" + std::to_string(i), [&](ProcessSpec& spec) {
      spec.max_failures = static_cast<std::uint32_t>(pick(4));
      spec.final = pick(4) == 0;
      spec.ephemeral = pick(5) == 0;
      spec.daemon = pick(6) == 0;
      spec.min_duration = milliseconds(pick(2000));
    }));
    for (int j = 0; j < i; ++j) {
      const ProcessSpec &before = all[static_cast<std::size_t>(j)], &after = all.back();
      if (before.final != after.final || before.daemon || (before.ephemeral && !after.ephemeral)) continue;
      if (pick(3) == 0) orders.push_back({before.name, after.name});
    }
  }
  FakeTask t(task(all, orders));
  t.plan.max_failures = static_cast<std::uint32_t>(pick(3));
  t.plan.max_concurrency = static_cast<std::uint32_t>(pick(4));
  t.plan.finalization_wait = milliseconds(pick(10'000));
  for (const ProcessSpec& spec : all)
    for (int i = 0; i < 4; ++i) t.script[spec.name].push_back(random_behaviour(random));
  return t;
}

/// No run began before the processes that it waits for had finished.
void expect_order_kept(const FakeTask& t) {
  std::set<std::string> finished;
  for (const Record& record : t.records) {
    const auto* told = std::get_if<ProcessRecord>(&record);
    if (!told) continue;
    if (told->state == ProcessState::kSuccess) finished.insert(told->process);
    if (told->state != ProcessState::kForked) continue;
    for (const Order& order : t.plan.constraints) {
      if (order[1] != told->process || finished.contains(order[0])) continue;
      // An ephemeral process is finished for good by its failures too.
      const auto before = std::ranges::find(t.plan.processes, order[0], &ProcessSpec::name);
      EXPECT_TRUE(before->ephemeral) << told->process << " ran before " << order[0];
    }
  }
}

class RandomTask : public ::testing::TestWithParam<unsigned> {};

TEST_P(RandomTask, KeepsItsOrderEndsAndIsWhatItsRecordsSay) {
  for (unsigned seed = GetParam() * 1000; seed < GetParam() * 1000 + 100; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    FakeTask t = random_task(random);
    t.start();
    if (seed % 3 == 0) {
      t.run_for(milliseconds(random() % 4000));
      t.machine().kill(milliseconds(random() % 5000), seed % 2 ? kKilled : kLost, "killed on request");
    }
    t.run();
    EXPECT_EQ(t.history(), t.machine().history());
    EXPECT_LE(t.most_at_once, t.plan.max_concurrency > 0 ? t.plan.max_concurrency : 99);
    expect_order_kept(t);
    if (HasFailure()) break;
  }
}

TEST_P(RandomTask, SurvivesRunnersThatDieAtRandomRecords) {
  for (unsigned seed = GetParam() * 1000; seed < GetParam() * 1000 + 100; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    FakeTask t = random_task(random);
    for (std::size_t crashes = 0; !t.history().terminal();) {
      t.crash_at = t.records.size() + 1 + random() % 8 + crashes;
      try {
        t.records.empty() ? t.start() : t.restart();
        t.run();
      } catch (const FakeTask::Crash&) {
        ++crashes;
      }
      if (HasFailure()) return;
    }
    expect_order_kept(t);
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomTask, ::testing::Range(0u, 4u));

}  // namespace
}  // namespace dewar
