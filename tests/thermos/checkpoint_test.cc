#include "thermos/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "base/process.h"
#include "tests/support/temp_folder.h"
#include "tests/thermos/fake_task.h"

namespace dewar {
namespace {

using namespace dewar::testing;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

const std::string kJson = R"({"name": "t"})";

/// A whole life's records: a retry, a chain, a finalizer.
std::vector<Record> life() {
  FakeTask t(task({process("a", tries(2)), process("b"), process("f", final)}, {{"a", "b"}}));
  t.script["a"] = {{.code = 3}, {}};
  t.start(), t.run();
  return t.records;
}

/// The shortest with a finalizer: the tests below go through it byte by byte.
std::vector<Record> short_life() {
  FakeTask t(task({process("a"), process("f", final)}));
  t.start(), t.run();
  return t.records;
}

TaskHistory added_up(const std::vector<Record>& records, std::size_t count) {
  TaskHistory history;
  for (std::size_t i = 0; i < count; ++i) EXPECT_TRUE(history.apply(records[i]));
  return history;
}

class CheckpointTest : public ::testing::Test {
 protected:
  Result<Checkpoint> open(const std::string& json = kJson, bool force = false) {
    return Checkpoint::open(folder_.path(), "t", json, force);
  }
  Checkpoint opened() {
    auto checkpoint = open();
    if (!checkpoint) ADD_FAILURE() << checkpoint.error().message();
    return std::move(checkpoint).take();
  }
  void write(const std::vector<Record>& records) {
    Checkpoint checkpoint = opened();
    for (const Record& record : records) ASSERT_TRUE(checkpoint.append(record));
  }
  std::string file(const std::string& name) const { return folder_ / ("checkpoints/t/" + name); }
  std::string content(const std::string& name) const {
    auto bytes = read_file(file(name));
    EXPECT_TRUE(bytes);
    return bytes ? *bytes : "";
  }
  void put(const std::string& name, const std::string& bytes) { ASSERT_TRUE(replace_file(file(name), bytes)); }
  std::vector<std::string> files() const {
    auto names = list_dir(folder_ / "checkpoints/t");
    return names ? *names : std::vector<std::string>{};
  }

  TempFolder folder_;
};

TEST_F(CheckpointTest, GivesBackWhatWasWritten) {
  const std::vector<Record> records = life();
  write(records);
  const Checkpoint again = opened();
  EXPECT_EQ(again.history(), added_up(records, records.size()));
  EXPECT_THAT(again.repairs(), IsEmpty());
  EXPECT_EQ(*read_history(folder_.path(), "t"), again.history());
}

TEST_F(CheckpointTest, UsesThermossPathsAndKeepsEachProcesssRunsInAFileOfItsOwn) {
  const std::vector<Record> records = life();
  write(records);
  EXPECT_THAT(files(), ElementsAre("coordinator.a", "coordinator.b", "coordinator.f", "runner"));
  EXPECT_EQ(*read_file(folder_ / "tasks/active/t"), kJson);
  std::vector<ProcessState> states;
  for (const Record& record : replay(content("coordinator.a")).records) {
    states.push_back(std::get<ProcessRecord>(record).state);
  }
  using enum ProcessState;
  EXPECT_THAT(states, ElementsAre(kForked, kRunning, kFailed, kForked, kRunning, kSuccess));
}

TEST_F(CheckpointTest, MovesTheTaskFileWhenTheTaskIsFinishedAndMayDoSoTwice) {
  Checkpoint checkpoint = opened();
  ASSERT_TRUE(checkpoint.finish());
  ASSERT_TRUE(checkpoint.finish());
  EXPECT_FALSE(exists(folder_ / "tasks/active/t"));
  EXPECT_EQ(*read_file(folder_ / "tasks/finished/t"), kJson);
}

TEST_F(CheckpointTest, Scenario18_AnotherTaskUnderTheSameIdIsRefused) {
  write(life());
  const auto other = open(R"({"name": "other"})");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, std::errc::file_exists);
  EXPECT_THAT(other.error().message(), HasSubstr("another task has the id 't'"));
}

TEST_F(CheckpointTest, Scenario34_ATornTailIsCutOffAndWrittenAgain) {
  const std::vector<Record> records = life();
  write(records);
  const std::string whole = content("runner");
  put("runner", whole.substr(0, whole.size() - 5));
  {
    Checkpoint checkpoint = opened();
    EXPECT_EQ(checkpoint.history(), added_up(records, records.size() - 1));
    EXPECT_THAT(checkpoint.repairs(), ElementsAre(HasSubstr("not written to its end")));
    ASSERT_TRUE(checkpoint.append(records.back()));
  }
  EXPECT_EQ(content("runner"), whole);
  EXPECT_THAT(files(), ElementsAre("coordinator.a", "coordinator.b", "coordinator.f", "runner"));
}

TEST_F(CheckpointTest, Scenario35_ASecondRunnerIsRefusedWhileTheFirstLives) {
  const Checkpoint first = opened();
  const auto second = open();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, std::errc::operation_would_block);
  EXPECT_THAT(second.error().message(), HasSubstr("task 't' has a runner already"));
}

/// A process that holds the task, as its record says; ready when this returns.
pid_t start_holder(const std::function<Result<Checkpoint>()>& open) {
  int ready[2];
  EXPECT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    auto held = open();
    TaskRecord active;
    active.runner_pid = ::getpid();
    if (!held || !held->append(active)) ::_exit(1);
    (void)!::write(ready[1], "x", 1);
    ::pause();
    ::_exit(0);
  }
  ::close(ready[1]);
  char byte = 0;
  EXPECT_EQ(::read(ready[0], &byte, 1), 1);
  ::close(ready[0]);
  return child;
}

TEST_F(CheckpointTest, Scenario35_WithForceTheFirstRunnerIsKilledAndTheSecondProceeds) {
  const pid_t first = start_holder([this] { return open(); });
  const auto second = open(kJson, /*force=*/true);
  ASSERT_TRUE(second) << second.error().message();
  EXPECT_EQ(second->history().statuses.back().runner_pid, first);
  int status = 0;
  ASSERT_EQ(::waitpid(first, &status, 0), first);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

TEST_F(CheckpointTest, ForceNeverKillsAStrangerWhoHasTheRecordedPid) {
  Checkpoint held = opened();  // by this process
  int open_end[2];
  ASSERT_EQ(::pipe(open_end), 0);
  const pid_t stranger = ::fork();
  if (stranger == 0) {
    ::dup2(open_end[0], 0);
    ::closefrom(3);
    char byte = 0;
    ::_exit(::read(0, &byte, 1) == 0 ? 7 : 1);  // waits for the other end to be closed
  }
  ::close(open_end[0]);
  const auto file_of = [&] { return exists("/proc/" + std::to_string(stranger) + "/fd/3"); };
  while (file_of()) ::sched_yield();
  TaskRecord active;
  active.runner_pid = stranger;
  ASSERT_TRUE(held.append(active));
  const auto second = open(kJson, /*force=*/true);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, std::errc::operation_would_block);
  ::close(open_end[1]);
  int status = 0;
  ASSERT_EQ(::waitpid(stranger, &status, 0), stranger);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

TEST_F(CheckpointTest, WhatOnlyACoordinatorFileKnowsIsAddedWithTheWaitingRecordsItLacks) {
  const std::vector<Record> records = life();
  write(records);
  const Replay whole = replay(content("runner"));
  put("runner", content("runner").substr(0, whole.offsets[3]));  // ACTIVE, header, WAITING of a
  const Checkpoint checkpoint = opened();
  const TaskHistory all = added_up(records, records.size());
  EXPECT_EQ(checkpoint.history().processes, all.processes);
  EXPECT_EQ(checkpoint.history().state(), TaskState::kActive);
  EXPECT_EQ(*read_history(folder_.path(), "t"), checkpoint.history());
  EXPECT_THAT(checkpoint.repairs(),
              ElementsAre(HasSubstr("process 'a': 6 records"), HasSubstr("process 'b'"), HasSubstr("process 'f'")));
}

TEST_F(CheckpointTest, ADamagedRecordSetsTheFileAsideWithTheReason) {
  write(life());
  const std::string whole = content("runner");
  std::string damaged = whole;
  damaged[whole.size() / 2] ^= 4;
  put("runner", damaged);
  const Checkpoint checkpoint = opened();
  EXPECT_EQ(content("runner.damaged-1"), damaged);
  EXPECT_THAT(content("runner.damaged-1.reason"), StartsWith("the record at byte "));
  EXPECT_THAT(checkpoint.repairs().front(), HasSubstr("runner.damaged-1"));
}

TEST_F(CheckpointTest, ASecondDamageIsSetAsideBesideTheFirst) {
  write(life());
  for (const char* name : {"runner.damaged-1", "runner.damaged-2"}) {
    std::string bytes = content("runner");
    bytes[10] ^= 1;
    put("runner", bytes);
    opened();
    EXPECT_EQ(content(name), bytes);
  }
}

TEST_F(CheckpointTest, ADamagedCoordinatorFileIsSetAsideUnderANameThatIsNoProcesss) {
  write(life());
  std::string damaged = content("coordinator.a");
  damaged[10] ^= 1;
  put("coordinator.a", damaged);
  opened();
  EXPECT_EQ(content("damaged-1.coordinator.a"), damaged);
  EXPECT_EQ(content("coordinator.a"), "");
  EXPECT_THAT(opened().repairs(), IsEmpty()) << "told once";
}

/// A history that records could have led to: every run and every status is one of the truth's, in its order.
void expect_prefix_of(const TaskHistory& history, const TaskHistory& truth) {
  ASSERT_LE(history.statuses.size(), truth.statuses.size());
  EXPECT_TRUE(std::equal(history.statuses.begin(), history.statuses.end(), truth.statuses.begin()));
  for (const auto& [name, runs] : history.processes) {
    const auto& true_runs = truth.processes.at(name);
    ASSERT_LE(runs.size(), true_runs.size());
    for (std::size_t i = 0; i < runs.size(); ++i) {
      EXPECT_LE(runs[i].seq, true_runs[i].seq);
      EXPECT_TRUE(!is_terminal(runs[i].state) || runs[i] == true_runs[i]);
      EXPECT_TRUE(!runs[i].pid || runs[i].pid == true_runs[i].pid);
    }
  }
}

TEST_F(CheckpointTest, ABitFlippedAnywhereInTheRunnersFileLeavesATruthAndTheDamagedFile) {
  const std::vector<Record> records = short_life();
  const TaskHistory truth = added_up(records, records.size());
  write(records);
  const std::string whole = content("runner");
  for (std::size_t at = 0; at < whole.size(); ++at) {
    SCOPED_TRACE("byte " + std::to_string(at));
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 1 << at % 8);
    put("runner", damaged);
    const Checkpoint checkpoint = opened();
    expect_prefix_of(checkpoint.history(), truth);
    EXPECT_EQ(checkpoint.history().processes, truth.processes) << "the coordinator files know them all";
    EXPECT_TRUE(checkpoint.history() == truth || content("runner.damaged-1") == damaged);
    EXPECT_EQ(replay(content("runner")).damage, "");
    for (const std::string& name : files())
      if (name.find("damaged") != std::string::npos) ::unlink(file(name).c_str());
    if (HasFailure()) return;
  }
}

TEST_F(CheckpointTest, ACutAnywhereInTheRunnersFileLeavesATruth) {
  const std::vector<Record> records = short_life();
  const TaskHistory truth = added_up(records, records.size());
  write(records);
  const std::string whole = content("runner");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    SCOPED_TRACE("cut after byte " + std::to_string(size));
    put("runner", whole.substr(0, size));
    const Checkpoint checkpoint = opened();
    expect_prefix_of(checkpoint.history(), truth);
    EXPECT_EQ(replay(content("runner")).damage, "");
    EXPECT_THAT(files(), ElementsAre("coordinator.a", "coordinator.f", "runner"));
    if (HasFailure()) return;
  }
}

TEST_F(CheckpointTest, ATaskThatHadEndedIsNotBegunAgainWhenTheRecordOfItsEndIsLost) {
  const std::vector<Record> records = life();
  write(records);
  ASSERT_TRUE(opened().finish());
  put("runner", content("runner").substr(0, replay(content("runner")).offsets[5]));
  const Checkpoint checkpoint = opened();
  EXPECT_EQ(checkpoint.history().state(), TaskState::kLost);
  EXPECT_THAT(*checkpoint.history().statuses.back().reason, HasSubstr("the record of its end was damaged"));
  EXPECT_EQ(*read_history(folder_.path(), "t"), checkpoint.history());
}

TEST_F(CheckpointTest, AFullDiskLeavesNoHalfRecordAndTheRecordCanBeTriedAgain) {
  const std::vector<Record> records = life();
  Checkpoint checkpoint = opened();
  for (std::size_t i = 0; i + 1 < records.size(); ++i) ASSERT_TRUE(checkpoint.append(records[i]));
  const std::size_t before = content("runner").size();
  rlimit old{};
  ::getrlimit(RLIMIT_FSIZE, &old);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit tight{before + 3, old.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &tight);
  const auto refused = checkpoint.append(records.back());
  ::setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, handler);
  ASSERT_FALSE(refused);
  EXPECT_EQ(content("runner").size(), before);
  ASSERT_TRUE(checkpoint.append(records.back()));
  EXPECT_EQ(*read_history(folder_.path(), "t"), added_up(records, records.size()));
}

TEST_F(CheckpointTest, ARecordThatIsTriedAgainIsOnceInItsCoordinatorFile) {
  const std::vector<Record> records = life();
  Checkpoint checkpoint = opened();
  for (std::size_t i = 0; i < 4; ++i) ASSERT_TRUE(checkpoint.append(records[i]));
  ASSERT_TRUE(checkpoint.append(records[3]));  // FORKED
  EXPECT_EQ(replay(content("coordinator.a")).records.size(), 1u);
}

TEST(Replay, TellsAWrongLengthFromATornTail) {
  const std::string record = framed(encode_record(TaskRecord{}));
  EXPECT_EQ(replay(record + record.substr(0, 20)).damage, "");
  EXPECT_EQ(replay(record + record.substr(0, 3)).damage, "");
  std::string longer = record + record;
  longer[1] = 1;  // the first length: 64 KiB more than there is
  EXPECT_THAT(replay(longer).damage, HasSubstr("its length is given as"));
  longer.resize(record.size());
  EXPECT_THAT(replay(longer).damage, HasSubstr("which is wrong"));
  EXPECT_THAT(replay(std::string(8, '\xff')).damage, HasSubstr("4294967295, which is wrong"));
}

TEST(Replay, SaysWhereItsRecordsAreAndWhereTheGoodOnesEnd) {
  const std::string record = framed(encode_record(TaskRecord{}));
  const Replay stream = replay(record + record + "torn");
  EXPECT_THAT(stream.offsets, ElementsAre(0u, record.size()));
  EXPECT_EQ(stream.good_bytes, 2 * record.size());
}

TEST(ReadHistory, OfATaskThatIsNotThereSaysSo) {
  const TempFolder folder;
  const auto history = read_history(folder.path(), "none");
  ASSERT_FALSE(history);
  EXPECT_EQ(history.error().code, std::errc::no_such_file_or_directory);
}

}  // namespace
}  // namespace dewar
