// `dewar logs` beside tasks that live, and the quota for the logs of a work dir.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <nlohmann/json.hpp>

#include "base/files.h"
#include "tests/cli/dewar_command.h"
#include "tests/scenario/task_run.h"

namespace dewar {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

std::vector<std::string> follow(const TaskRun& task) {
  return {"logs", task.spec().run_folder, "-f", "--prefix=never"};
}

/// KiB of memory of its own that a process has.
long memory_of(pid_t pid) {
  const auto text = read_file("/proc/" + std::to_string(pid) + "/status");
  const std::size_t at = text ? text->find("RssAnon:") : std::string::npos;
  return at == std::string::npos ? -1 : std::strtol(text->c_str() + at + 8, nullptr, 10);
}

// covers: F28
TEST(Logs, TwoHundredFollowersThatDoNotReadHoldUpNobody) {
  TaskRun task(R"yaml(
name: t
processes:
  - name: p
    cmdline: 'echo begun; until [ -e go ]; do sleep 0.02; done; seq 1000000'
    logger: {mode: rotate, rotate: {log_size: 1MB, backups: 1, compress: false}}
)yaml");
  task.start();
  task.wait_running("p");
  std::vector<std::unique_ptr<DewarCommand>> followers(200);
  for (auto& follower : followers) follower = std::make_unique<DewarCommand>(follow(task));
  for (auto& follower : followers) ASSERT_TRUE(follower->wait_for("begun\n"));
  ASSERT_TRUE(replace_file(task.sandbox() + "/go", ""));
  EXPECT_EQ(task.wait_end().state(), TaskState::kSuccess) << "7 MB, and nobody reads more than fits a pipe";
  for (const auto& follower : followers) {
    const long memory = memory_of(follower->pid());
    EXPECT_GT(memory, 0) << "it waits for its reader";
    EXPECT_LT(memory, 8 << 10);
  }
  EXPECT_EQ(followers[0]->wait(), 0);
  EXPECT_THAT(followers[0]->out(), HasSubstr(" rotated away --\n"));
  EXPECT_THAT(followers[0]->out(), HasSubstr("\n999999\n1000000\n-- run 0 "));
}

TEST(Logs, AFollowerGoesOnWhileTheRunnerDiesAndAnotherTakesOver) {
  TaskRun task(R"yaml(
name: t
processes:
  - {name: p, cmdline: 'echo one; until [ -e two ]; do sleep 0.02; done; echo two'}
  - {name: q, cmdline: 'echo three'}
order: [p, q]
)yaml");
  task.start();
  task.wait_running("p");
  DewarCommand follower(follow(task));
  ASSERT_TRUE(follower.wait_for("one\n"));
  ::kill(task.runner_pid(), SIGKILL);
  EXPECT_EQ(task.wait_exit(), -SIGKILL);
  ASSERT_TRUE(replace_file(task.sandbox() + "/two", ""));
  ASSERT_TRUE(follower.wait_for("two\n")) << "the launcher writes on, and the task has not ended";
  task.start();
  EXPECT_EQ(task.wait_end().state(), TaskState::kSuccess);
  EXPECT_EQ(follower.wait(), 0);
  std::string lines;  // without where runs start and end
  for (std::size_t at = 0; at < follower.out().size();) {
    const std::size_t end = follower.out().find('\n', at) + 1;
    if (!follower.out().substr(at).starts_with("-- run ")) lines += follower.out().substr(at, end - at);
    at = end;
  }
  EXPECT_EQ(lines, "one\ntwo\nthree\n") << follower.out();
}

/// Tasks in one work dir whose logs may take 300 KB together.
class LogQuotaScenario : public ::testing::Test {
 protected:
  /// Runs a task of one process to its end.
  nlohmann::json run(const std::string& id, const std::string& process, const std::string& more = "") {
    EXPECT_TRUE(replace_file(work_ / "task.yaml", "name: t\nprocesses: [{name: p, " + process + "}]\n" + more));
    DewarCommand command({"run", work_ / "task.yaml", "--work-dir", work_.path(), "--task-id", id, "--log-quota",
                          "300KB", "-o", "json"});
    EXPECT_EQ(command.wait(), 0) << command.err();
    return nlohmann::json::parse(command.out(), nullptr, false);
  }
  std::string log(const std::string& id, int run = 0) const {
    const auto text = read_file(work_ / "slaves/local/frameworks/local/executors/" + id + "/runs/latest/.logs/p/" +
                                std::to_string(run) + "/stdout");
    return text ? *text : "gone";
  }
  static std::string words_of_events(const nlohmann::json& task) {
    std::string words;
    for (const auto& event : task["events"]) words += event["message"].get<std::string>() + "\n";
    return words;
  }
  TempFolder work_;
};

TEST_F(LogQuotaScenario, TheLogsOfTheOldestTaskGoFirst) {
  for (const char* id : {"first", "second"}) run(id, "cmdline: 'yes 0123456 | head -c 120000'");
  EXPECT_EQ(log("first").size(), 120'000u);
  EXPECT_EQ(log("second").size(), 120'000u);
  const auto third = run("third", "cmdline: 'yes 0123456 | head -c 120000'");
  EXPECT_EQ(log("first"), "gone");
  EXPECT_EQ(log("second").size(), 120'000u);
  EXPECT_EQ(log("third").size(), 120'000u);
  EXPECT_THAT(words_of_events(third), HasSubstr("the logs of 1 ended run were removed: the quota of 300.0 KB for the"))
      << "by the launcher: its process needed the room, long before its runner looks";
}

TEST_F(LogQuotaScenario, TheOldRunsOfALivingTaskGoBeforeItsNewLines) {
  const auto task =
      run("t",
          "cmdline: 'yes 0123456 | head -c 120000; [ -e twice ] && exit 0; [ -e once ] && touch twice; touch once; "
          "exit 1', max_failures: 3, min_duration: 0");
  EXPECT_EQ(log("t", 0), "gone");
  EXPECT_EQ(log("t", 1).size(), 120'000u);
  EXPECT_EQ(log("t", 2).size(), 120'000u);
  EXPECT_THAT(words_of_events(task), HasSubstr("the logs of 1 ended run were removed: the quota of 300.0 KB for the"));
}

TEST_F(LogQuotaScenario, TheTasksOwnQuotaTakesTheLogsOfItsEarlierRunsAndTellsIt) {
  const auto task = run("t",
                        "cmdline: 'yes 0123456 | head -c 120000; [ -e twice ] && exit 0; [ -e once ] && touch twice; "
                        "touch once; exit 1', max_failures: 3, min_duration: 0",
                        "sandbox: {log_quota: 250KB}\n");
  EXPECT_EQ(log("t", 0), "gone");
  EXPECT_EQ(log("t", 1).size(), 120'000u);
  EXPECT_EQ(log("t", 2).size(), 120'000u);
  EXPECT_THAT(words_of_events(task), HasSubstr("the logs of 1 earlier run of the task were removed: the task's quota"));
}

TEST_F(LogQuotaScenario, ATaskThatCrossesItLosesLinesAndIsToldSo) {
  const auto task = run("loud", "cmdline: 'yes 0123456 | head -c 1000000'");
  EXPECT_EQ(task["state"], "SUCCESS") << "it goes on";
  EXPECT_LE(log("loud").size(), 300u << 10);
  EXPECT_GE(log("loud").size(), 280u << 10);
  EXPECT_THAT(words_of_events(task), HasSubstr("the quota of 300.0 KB for the logs of the work dir is full"));
  DewarCommand logs({"logs", "loud", "--work-dir", work_.path()});
  EXPECT_EQ(logs.wait(), 0);
  EXPECT_THAT(logs.out(), HasSubstr(" dropped: quota for output full --\n"));
}

}  // namespace
}  // namespace dewar
