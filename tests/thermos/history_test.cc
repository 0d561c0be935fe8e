#include "thermos/history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/thermos/tapes.h"

namespace dewar {
namespace {

using ::testing::HasSubstr;
using enum ProcessState;

ProcessRecord process(std::int64_t seq, ProcessState state, const std::string& name = "p") {
  ProcessRecord r;
  r.seq = seq;
  r.process = name;
  r.state = state;
  return r;
}

TaskRecord task(TaskState state) {
  TaskRecord r;
  r.state = state;
  return r;
}

TaskHistory of(const std::vector<Record>& records) {
  TaskHistory history;
  for (const Record& record : records) {
    const auto added = history.apply(record);
    if (!added) ADD_FAILURE() << added.error().message();
  }
  return history;
}

/// The words with which `record` is refused; checks that nothing has changed.
std::string refusal(TaskHistory history, const Record& record) {
  const TaskHistory before = history;
  const auto added = history.apply(record);
  if (added) return "accepted";
  EXPECT_EQ(added.error().code, std::errc::protocol_error);
  EXPECT_EQ(history, before);
  return added.error().message();
}

TEST(History, KeepsWhatEachRecordOfARunTells) {
  ProcessRecord forked = process(1, kForked), running = process(2, kRunning), end = process(3, kFailed);
  forked.coordinator_pid = 10, forked.coordinator_start = 99, forked.fork_time = 1.5;
  running.pid = 11, running.start_time = 2.5;
  end.return_code = 3, end.stop_time = 3.5, end.reason = "exit status 3", end.usage = Usage{1, 2, 3, 4, 5, 6};
  const TaskHistory history = of({process(0, kWaiting), forked, running, end});
  RunHistory expected;
  expected.state = kFailed, expected.seq = 3;
  expected.coordinator_pid = 10, expected.coordinator_start = 99, expected.pid = 11, expected.return_code = 3;
  expected.fork_time = 1.5, expected.start_time = 2.5, expected.stop_time = 3.5;
  expected.reason = "exit status 3", expected.usage = Usage{1, 2, 3, 4, 5, 6};
  EXPECT_EQ(history.processes.at("p"), std::vector{expected});
}

TEST(History, BeginsAnotherRunOnlyAfterTheEndOfTheOneBefore) {
  const TaskHistory ended = of({process(0, kWaiting), process(1, kForked), process(2, kLost)});
  EXPECT_EQ(of({process(0, kWaiting), process(1, kFailed), process(2, kWaiting)}).processes.at("p").size(), 2u);
  EXPECT_EQ(refusal(ended, process(3, kWaiting)), "accepted");
  EXPECT_THAT(refusal(of({process(0, kWaiting), process(1, kForked)}), process(2, kWaiting)),
              HasSubstr("cannot go from FORKED to WAITING"));
}

TEST(History, RefusesASequenceNumberThatIsNotTheNext) {
  const TaskHistory history = of({process(0, kWaiting), process(1, kForked)});
  EXPECT_THAT(refusal(history, process(3, kRunning)), HasSubstr("sequence number 3 where 2 should be"));
  EXPECT_THAT(refusal(history, process(1, kForked)), HasSubstr("sequence number 1 where 2 should be"));
  EXPECT_THAT(refusal(history, process(1, kWaiting, "q")), HasSubstr("sequence number 1 where 0 should be"));
}

TEST(History, AcceptsOfARunExactlyTheMovesOfTheTable) {
  for (int to = 0; to < 7; ++to) {
    const auto state = static_cast<ProcessState>(to);
    const TaskHistory running = of({process(0, kWaiting), process(1, kForked), process(2, kRunning)});
    EXPECT_EQ(refusal(running, process(3, state)) == "accepted", may_move(kRunning, state)) << to_string(state);
    EXPECT_EQ(refusal({}, process(0, state)) == "accepted", state == kWaiting) << to_string(state);
  }
}

TEST(History, RefusesASecondHeader) {
  EXPECT_THAT(refusal(of({HeaderRecord{}}), HeaderRecord{}), HasSubstr("second header"));
}

TEST(History, AcceptsTheSameLivingTaskStateAgainButNothingAfterTheEnd) {
  using enum TaskState;
  const TaskHistory cleaning = of({task(kActive), task(kActive), task(kCleaning), task(kCleaning)});
  EXPECT_EQ(cleaning.statuses.size(), 4u);
  EXPECT_THAT(refusal(cleaning, task(kActive)), HasSubstr("cannot go from CLEANING to ACTIVE"));
  const TaskHistory ended = of({task(kActive), task(TaskState::kKilled)});
  EXPECT_TRUE(ended.terminal());
  EXPECT_THAT(refusal(ended, task(TaskState::kKilled)), HasSubstr("cannot go from KILLED to KILLED"));
}

TEST(History, ASampleIsOfARunThatLives) {
  const SampleRecord sample{"p", 0, 1, 0.5, {1, 2, 3, 4, 5, 6}};
  EXPECT_THAT(refusal({}, sample), HasSubstr("run 0 of process 'p', which is not known"));
  const TaskHistory history = of({process(0, kWaiting), process(1, kForked), sample});
  EXPECT_EQ(history.processes.at("p")[0].usage, sample.usage);
  EXPECT_EQ(history.processes.at("p")[0].cpu, 0.5);
}

TEST(History, TheFinalNumbersOfARunStandAgainstALateSample) {
  ProcessRecord end = process(2, kLost);
  end.usage = Usage{9, 9, 0, 9, 0, 0};
  const TaskHistory history = of({process(0, kWaiting), process(1, kForked), SampleRecord{"p", 0, 1, 0.5, {}}, end,
                                  SampleRecord{"p", 0, 2, 0.7, {1, 2, 3, 4, 5, 6}}});
  EXPECT_EQ(history.processes.at("p")[0].usage, *end.usage);
  EXPECT_EQ(history.processes.at("p")[0].cpu, 0);
}

// A launcher tells that output is lost when that begins, and at the end how much it was.
TEST(History, ALossThatIsToldAgainTakesThePlaceOfItsBeginning) {
  const EventRecord begins{1, std::string(kOutputEvent), "p", 0, "4.0 KB lost"},
      sum{9, begins.kind, "p", 0, "9.0 MB lost"};
  const EventRecord other{2, begins.kind, "p", 1, "1.0 KB lost"}, neighbour{3, begins.kind, "q", 0, "2.0 KB lost"};
  const EventRecord ports{4, "port", "p", 0, "a port"}, more{5, "port", "p", 0, "another port"};
  const TaskHistory history = of({begins, other, neighbour, ports, more, sum});
  EXPECT_EQ(history.events, (std::vector{other, neighbour, ports, more, sum}));
}

TEST(History, ASampleWithoutANameIsOfTheWholeTask) {
  TaskHistory history = of({SampleRecord{"", 0, 1, 1.5, {1, 2, 3, 4, 5, 6}}});
  EXPECT_EQ(history.cpu, 1.5);
  EXPECT_EQ(history.usage, (Usage{1, 2, 3, 4, 5, 6}));
  EXPECT_TRUE(history.empty());
}

struct Outcome {
  const char* task;
  TaskState state;
  std::vector<ProcessState> runs;  ///< of `process`
  const char* process;
};

TaskHistory replay_tape(const std::string& name) {
  TaskHistory history;
  for (const std::string& payload :
       tapes::payloads(tapes::content(tapes::root() + "/checkpoints/" + name + "/runner"))) {
    const auto record = decode_record(payload);
    EXPECT_TRUE(record);
    const auto added = record ? history.apply(*record) : Result<void>{};
    if (!added) ADD_FAILURE() << name << ": " << added.error().message();
  }
  return history;
}

TEST(Tapes, EveryStreamOfThermossRunnerAddsUpToWhatHappened) {
  const Outcome outcomes[] = {
      {"ordered-with-ports", TaskState::kSuccess, {kSuccess}, "run"},
      {"retry-then-success", TaskState::kSuccess, {kFailed, kFailed, kSuccess}, "flaky"},
      {"finalizer", TaskState::kFailed, {kSuccess}, "cleanup"},
      {"failed-with-finalizer", TaskState::kFailed, {kKilled}, "other"},
      {"signals", TaskState::kSuccess, {kKilled, kSuccess}, "segv"},
      {"max-concurrency", TaskState::kSuccess, {kSuccess}, "a"},
      {"killed", TaskState::kKilled, {kKilled}, "p"},
      {"coordinator-lost", TaskState::kSuccess, {kLost, kSuccess}, "p"},
      {"runner-died", TaskState::kActive, {kRunning}, "p"},
      {"daemon-ephemeral", TaskState::kSuccess, {kSuccess}, "main"},
  };
  for (const Outcome& outcome : outcomes) {
    const TaskHistory history = replay_tape(outcome.task);
    EXPECT_EQ(history.state(), outcome.state) << outcome.task;
    std::vector<ProcessState> runs;
    for (const RunHistory& run : history.processes.at(outcome.process)) runs.push_back(run.state);
    EXPECT_EQ(runs, outcome.runs) << outcome.task;
  }
}

TEST(Tapes, AFailedRunKeepsItsReturnCodeAndItsEnd) {
  const TaskHistory history = replay_tape("retry-then-success");
  const RunHistory& run = history.processes.at("flaky")[0];
  ASSERT_TRUE(run.return_code && run.stop_time);
  EXPECT_NE(*run.return_code, 0);
  EXPECT_GT(*run.stop_time, *run.start_time);
}

}  // namespace
}  // namespace dewar
