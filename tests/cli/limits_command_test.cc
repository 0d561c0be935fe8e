// `dewar limits` as a person types it, of a task that runs: shown, changed, refused.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "tests/cli/dewar_command.h"
#include "tests/support/temp_folder.h"

namespace dewar {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Said {
  int code;
  std::string out, err;
};

/// A task that runs, with limits of its own, in a work dir of the test's.
class LimitsCommand : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root, to make sandboxes";
    ASSERT_TRUE(
        replace_file(folder_ / "task.yaml",
                     "name: limited\nresources: {cpu: 1, ram: 64MB, disk: 64MB}\nsandbox: {pids: 50}\n"
                     "processes: [{name: p, cmdline: 'touch started; until [ -e go ]; do sleep 0.02; done'}]\n"));
    task_ = std::make_unique<DewarCommand>(std::vector<std::string>{"run", folder_ / "task.yaml", "--work-dir", work(),
                                                                    "--task-id", "limited", "-o", "jsonl"});
    ASSERT_TRUE(task_->wait_for("RUNNING")) << task_->err();
  }
  /// Lets the task end.
  void TearDown() override {
    if (task_ == nullptr) return;
    EXPECT_TRUE(replace_file(run_folder() + "/sandbox/go", ""));
    EXPECT_EQ(task_->wait(), 0) << task_->err();
  }

  std::string work() const { return folder_ / "work"; }
  std::string run_folder() const { return work() + "/slaves/local/frameworks/local/executors/limited/runs/latest"; }

  /// `dewar limits limited --work-dir WORK` and what else is given.
  Said limits(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words = {"limits", "limited", "--work-dir", work()};
    words.insert(words.end(), more.begin(), more.end());
    return say(words);
  }
  static Said say(const std::vector<std::string>& words, const std::vector<std::string>& env = {}) {
    DewarCommand command(words, DewarCommand::Output::kPipe, env);
    const int code = command.wait();
    return {code, command.out(), command.err()};
  }
  json now() const { return json::parse(limits({"-o", "json"}).out)["limits"]; }

  TempFolder folder_;
  std::unique_ptr<DewarCommand> task_;
};

TEST_F(LimitsCommand, ShowsWhatTheKernelHas) {
  const Said shown = limits();
  EXPECT_EQ(shown.code, 0) << shown.err;
  EXPECT_THAT(shown.out, HasSubstr("cpu           1\n"));
  EXPECT_THAT(shown.out, HasSubstr("64.0 MB\n"));
  EXPECT_THAT(shown.out, HasSubstr("pids          50\n"));
  const Said object = limits({"-o", "json"});
  EXPECT_EQ(object.code, 0);
  const json report = json::parse(object.out);
  EXPECT_EQ(report["task_id"], "limited");
  EXPECT_EQ(report["limits"]["memory_bytes"], 64 << 20);
  EXPECT_EQ(report["limits"]["pids"], 50);
  EXPECT_EQ(report["limits"]["cpu_quota"], nullptr);
}

TEST_F(LimitsCommand, ATaskIsNamedByABeginningOrAPathToo) {
  for (const std::string& name : {std::string("lim"), work(), run_folder()}) {
    const Said shown = say({"limits", name, "-o", "json"}, {"DEWAR_WORK_DIR=" + work()});
    EXPECT_EQ(shown.code, 0) << name << shown.err;
    EXPECT_EQ(json::parse(shown.out)["task_id"], "limited") << name;
  }
}

TEST_F(LimitsCommand, ChangesAllThatAreNamed) {
  const Said changed = limits({"--ram", "128MB", "--pids", "60", "--cpu-quota", "0.5"});
  EXPECT_EQ(changed.code, 0) << changed.err;
  EXPECT_THAT(changed.out, HasSubstr("128.0 MB\n"));
  const json limits_now = now();
  EXPECT_EQ(limits_now["memory_bytes"], 128 << 20);
  EXPECT_EQ(limits_now["pids"], 60);
  EXPECT_EQ(limits_now["cpu_quota"], 0.5);
  EXPECT_EQ(limits({"--cpu-quota", "0"}).code, 0);
  EXPECT_EQ(now()["cpu_quota"], nullptr) << "0 takes a limit off";
}

TEST_F(LimitsCommand, RefusesAllIfOneCannotBe) {
  const Said refused = limits({"--pids", "70", "--cpuset", "4000"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.out, IsEmpty());
  EXPECT_THAT(refused.err, HasSubstr("this host has no core 4000"));
  EXPECT_EQ(now()["pids"], 50) << "nothing of it was done";
  const Said below = limits({"--ram", "4KB", "--pids", "70"});
  EXPECT_EQ(below.code, 1);
  EXPECT_THAT(below.err, HasSubstr("dewar limits: "));
  EXPECT_EQ(now()["pids"], 50);
}

TEST_F(LimitsCommand, EndsWithACodeAndWordsForEachMistake) {
  EXPECT_EQ(say({"limits"}).code, 2);
  EXPECT_EQ(limits({"-o", "xml"}).code, 2);
  EXPECT_EQ(limits({"--colour", "1"}).code, 2);
  EXPECT_EQ(limits({"--ram", "much"}).code, 1);
  EXPECT_THAT(limits({"--ram", "much"}).err, HasSubstr("--ram"));
  EXPECT_EQ(limits({"--pids", "-4"}).code, 1);
  const Said process = say({"limits", "limited/p", "--work-dir", work()});
  EXPECT_EQ(process.code, 2);
  EXPECT_THAT(process.err, HasSubstr("limits are those of the whole task"));
  const Said nobody = say({"limits", "other", "--work-dir", work()});
  EXPECT_EQ(nobody.code, 3);
  EXPECT_THAT(nobody.err, HasSubstr("dewar limits: "));
  EXPECT_EQ(now()["pids"], 50);
}

TEST_F(LimitsCommand, OfATaskThatHasEndedAreNotThere) {
  ASSERT_TRUE(replace_file(run_folder() + "/sandbox/go", ""));
  EXPECT_EQ(task_->wait(), 0);
  task_.reset();
  const Said ended = limits();
  EXPECT_EQ(ended.code, 3);
  EXPECT_THAT(ended.err, HasSubstr("task 'limited' does not run now"));
}

TEST_F(LimitsCommand, AreRootsBusiness) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(121);
    ::execl(DEWAR_BIN "/dewar", "dewar", "limits", "limited", "--work-dir", work().c_str(), nullptr);
    ::_exit(122);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(WEXITSTATUS(status), 4);
}

}  // namespace
}  // namespace dewar
