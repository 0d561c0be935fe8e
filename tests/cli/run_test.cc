// `dewar run` as a whole: what it says, what it ends with, and what it survives.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <csignal>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/files.h"
#include "base/process.h"
#include "tests/cli/dewar_command.h"
#include "tests/support/temp_folder.h"

namespace dewar {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

/// The pid of the runner, whose command line names its run folder; -1 if there is none.
pid_t runner_in(const std::string& work_dir) {
  const auto names = list_dir("/proc");
  for (const std::string& name : names ? *names : std::vector<std::string>{}) {
    const auto words = read_file("/proc/" + name + "/cmdline");
    if (words && words->find("dewar-runner") != std::string::npos && words->find(work_dir) != std::string::npos) {
      return std::stoi(name);
    }
  }
  return -1;
}

class RunTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root, to make sandboxes";
  }

  std::string task(const std::string& yaml, const std::string& name = "task.yaml") const {
    EXPECT_TRUE(replace_file(folder_ / name, yaml));
    return folder_ / name;
  }
  std::vector<std::string> run(const std::string& file, const std::string& form = "json") const {
    return {"run", file, "--work-dir", folder_ / "work", "--task-id", "t", "-o", form};
  }
  /// A failed test may leave its task running.
  void TearDown() override {
    const auto id = identify(runner_in(folder_.path()));
    if (!id) return;
    if (const auto runner = open_process(*id)) (void)send_signal(*runner, SIGUSR2);
  }
  std::string sandbox() const { return folder_ / "work/slaves/local/frameworks/local/executors/t/runs/latest/sandbox"; }
  /// What a process of the test has written to a file in the sandbox.
  std::string in_sandbox(const std::string& name) const {
    const auto text = read_file(sandbox() + "/" + name);
    return text ? *text : "";
  }
  void let_go() const { ASSERT_TRUE(replace_file(sandbox() + "/go", "")); }
  /// Waits, for a minute at most, until a process has made this file in the sandbox.
  void wait_for_file(const std::string& name) const {
    const UniqueFd events(::inotify_init1(IN_CLOEXEC));
    ASSERT_GE(::inotify_add_watch(events.get(), sandbox().c_str(), IN_CREATE), 0);
    while (!exists(sandbox() + "/" + name)) {
      pollfd source{events.get(), POLLIN, 0};
      ASSERT_GT(::poll(&source, 1, 60000), 0) << "no file " << name;
      char names[4096];
      ASSERT_GT(::read(events.get(), names, sizeof names), 0);
    }
  }

  TempFolder folder_;
};

json last_object(const std::string& lines) {
  std::istringstream text(lines);
  std::string line, last;
  while (std::getline(text, line)) last = line;
  return json::parse(last);
}

constexpr const char* kQuick = "name: quick\nprocesses:\n  - {name: hello, cmdline: 'echo hello'}\n";
/// Says that it is there, and goes on until it finds a file `go` in its sandbox; the final process says that it ran.
constexpr const char* kWaits = R"yaml(
name: waits
processes:
  - {name: wait, cmdline: 'echo $$ >> started; until [ -e go ]; do sleep 0.02; done'}
  - {name: last, final: true, cmdline: 'touch finalized'}
)yaml";

TEST_F(RunTest, SuccessEndsWithZeroAndOneObject) {
  DewarCommand dewar(run(task(kQuick)));
  EXPECT_EQ(dewar.wait(), 0) << dewar.err();
  const json report = json::parse(dewar.out());
  EXPECT_EQ(report["task_id"], "t");
  EXPECT_EQ(report["state"], "SUCCESS");
  EXPECT_EQ(report["states"].back()["state"], "SUCCESS");
  const json& hello = report["processes"][0]["runs"][0];
  EXPECT_EQ(hello["return_code"], 0);
  EXPECT_EQ(*read_file(hello["stdout"].get<std::string>()), "hello\n");
  EXPECT_GT(report["usage"]["memory_peak_bytes"], 0);
}

TEST_F(RunTest, ALossOfOutputIsALineWhenItBeginsAndItsSumBeneathTheTable) {
  DewarCommand dewar(run(task(R"yaml(
name: loss
processes:
  - name: web
    cmdline: 'mkfifo go; head -c 999997 /dev/zero; read line < go; head -c 999997 /dev/zero'
    logger: {rate_limit: 100KB, when_full: drop}
)yaml"),
                         "table"));
  EXPECT_TRUE(dewar.wait_for(" output: ")) << dewar.out();
  const UniqueFd go(::open((sandbox() + "/go").c_str(), O_WRONLY | O_CLOEXEC));
  ASSERT_EQ(::write(go.get(), "\n", 1), 1);
  EXPECT_EQ(dewar.wait(), 0) << dewar.err();
  const std::size_t table = dewar.out().find("\nname ");
  ASSERT_NE(table, std::string::npos) << dewar.out();
  const std::string lines = dewar.out().substr(0, table), beneath = dewar.out().substr(table);
  EXPECT_EQ(lines.find("web#0 output: "), lines.rfind("web#0 output: ")) << lines;
  EXPECT_THAT(beneath, HasSubstr(" of output dropped: rate limit of 100.0 KB/s"));
}

TEST_F(RunTest, FailureEndsWithOneAndItsReason) {
  DewarCommand dewar(run(task("name: f\nprocesses:\n  - {name: bad, cmdline: 'exit 3'}\n")));
  EXPECT_EQ(dewar.wait(), 1);
  const json report = json::parse(dewar.out());
  EXPECT_EQ(report["state"], "FAILED");
  EXPECT_THAT(report["reason"].get<std::string>(), HasSubstr("bad"));
  EXPECT_EQ(report["processes"][0]["runs"][0]["return_code"], 3);
}

TEST_F(RunTest, AnInvalidFileIsToldAndNothingIsStarted) {
  DewarCommand dewar(run(task("name: x\nprocesses:\n  - {name: a, comdline: 'true'}\n")));
  EXPECT_EQ(dewar.wait(), 2);
  EXPECT_THAT(dewar.err(), HasSubstr("task.yaml:3:"));
  EXPECT_THAT(dewar.err(), HasSubstr("cmdline"));
  EXPECT_THAT(dewar.out(), IsEmpty());
  EXPECT_FALSE(exists(folder_ / "work"));
}

TEST_F(RunTest, WrongUsageEndsWithTwo) {
  const std::string file = task(kQuick), work = folder_ / "work";
  const std::vector<std::vector<std::string>> wrong = {
      {"run"},
      {"run", folder_ / "missing.yaml"},
      {"run", file, "--wrong"},
      {"run", file, "-o", "xml"},
      {"run", file, "--work-dir", work, "--port", "http"},
      {"run", file, "--work-dir", work, "--port", "http:80x"},
      {"run", file, "--work-dir", work, "--port", "http:8080"},  // the task has no such port
      {"run", file, "--work-dir", work, "--task-id", "../x"},
      {"run", file, "--work-dir", work, "--user", "no-such-user"},
  };
  for (const auto& words : wrong) {
    DewarCommand dewar(words);
    EXPECT_EQ(dewar.wait(), 2) << words.back();
    EXPECT_THAT(dewar.out(), IsEmpty()) << words.back();
    EXPECT_THAT(dewar.err(), Not(IsEmpty())) << words.back();
  }
}

TEST_F(RunTest, PortsAreGivenOrAllotted) {
  const std::string file =
      task("name: p\nprocesses:\n  - {name: a, cmdline: 'echo {{thermos.ports[one]}} {{thermos.ports[two]}}'}\n");
  auto words = run(file);
  words.insert(words.end(), {"--port", "one:4711"});
  DewarCommand dewar(words);
  EXPECT_EQ(dewar.wait(), 0) << dewar.err();
  const json report = json::parse(dewar.out());
  EXPECT_EQ(report["ports"]["one"], 4711);
  EXPECT_GE(report["ports"]["two"], 31000);
  EXPECT_EQ(*read_file(report["processes"][0]["runs"][0]["stdout"].get<std::string>()),
            "4711 " + report["ports"]["two"].dump() + "\n");
}

TEST_F(RunTest, JsonLinesTellEveryEventAndEndWithTheReport) {
  DewarCommand dewar(run(task(kQuick), "jsonl"));
  EXPECT_EQ(dewar.wait(), 0) << dewar.err();
  std::istringstream text(dewar.out());
  std::string states;
  for (std::string line; std::getline(text, line);) {
    const json event = json::parse(line);
    if (event.value("event", "") == "process") states += event["state"].get<std::string>() + " ";
  }
  EXPECT_EQ(states, "WAITING FORKED RUNNING SUCCESS ");
  EXPECT_EQ(last_object(dewar.out())["state"], "SUCCESS");
}

TEST_F(RunTest, WithoutATerminalEveryEventIsALineAndTheEndASummary) {
  DewarCommand dewar(run(task(kQuick), "table"));
  EXPECT_EQ(dewar.wait(), 0) << dewar.err();
  EXPECT_THAT(dewar.out(), HasSubstr(" hello#0 RUNNING pid "));
  EXPECT_THAT(dewar.out(), HasSubstr(" hello#0 SUCCESS return code 0\n"));
  EXPECT_THAT(dewar.out(), HasSubstr("✔ SUCCESS  t"));
  EXPECT_THAT(dewar.out(), Not(HasSubstr("\x1b"))) << "no escape sequences";
}

TEST_F(RunTest, OnATerminalTheTableIsDrawnInItsPlace) {
  DewarCommand dewar(run(task(kQuick), "table"), DewarCommand::Output::kTerminal);
  EXPECT_EQ(dewar.wait(), 0);
  EXPECT_THAT(dewar.out(), HasSubstr("return code"));
  EXPECT_THAT(dewar.out(), HasSubstr("A\x1b[")) << "up, and again";
  EXPECT_THAT(dewar.out(), HasSubstr("\x1b[32m✔ SUCCESS"));
}

TEST_F(RunTest, NoColorIsObeyedOnATerminal) {
  DewarCommand dewar(run(task(kQuick), "table"), DewarCommand::Output::kTerminal, {"NO_COLOR=1"});
  EXPECT_EQ(dewar.wait(), 0);
  EXPECT_THAT(dewar.out(), Not(HasSubstr("\x1b[32m")));
}

TEST_F(RunTest, AFinishedTaskIsToldAndNotRunAgain) {
  const std::string file = task("name: q\nprocesses:\n  - {name: a, cmdline: 'echo x >> runs'}\n");
  DewarCommand first(run(file));
  EXPECT_EQ(first.wait(), 0) << first.err();
  DewarCommand second(run(file));
  EXPECT_EQ(second.wait(), 0) << second.err();
  EXPECT_EQ(first.out(), second.out());
  EXPECT_EQ(in_sandbox("runs"), "x\n");
}

TEST_F(RunTest, AChangedFileUnderTheSameIdIsRefused) {
  DewarCommand first(run(task(kQuick)));
  EXPECT_EQ(first.wait(), 0) << first.err();
  DewarCommand second(run(task("name: quick\nprocesses:\n  - {name: hello, cmdline: 'echo other'}\n")));
  EXPECT_EQ(second.wait(), 2);
  EXPECT_THAT(second.err(), HasSubstr("--task-id"));
}

TEST_F(RunTest, KilledByKillMinusNineItsTaskGoesOnAndIsTakenUpAgain) {
  const std::string file = task(kWaits);
  {
    DewarCommand first(run(file, "jsonl"));
    ASSERT_TRUE(first.wait_for(R"("state":"RUNNING")")) << first.err();
    first.signal(SIGKILL);
    EXPECT_EQ(first.wait(), -SIGKILL);
  }
  DewarCommand second(run(file, "jsonl"));
  ASSERT_TRUE(second.wait_for(R"("state":"RUNNING")")) << second.err();
  let_go();
  EXPECT_EQ(second.wait(), 0) << second.err();
  const json report = last_object(second.out());
  EXPECT_EQ(report["processes"][0]["runs"].size(), 1u);
}

TEST_F(RunTest, ARunnerThatDiesIsStartedAgainAndTheTaskGoesOn) {
  DewarCommand dewar(run(task(kWaits), "jsonl"));
  ASSERT_TRUE(dewar.wait_for(R"("state":"RUNNING")")) << dewar.err();
  const pid_t runner = runner_in(folder_.path());
  ASSERT_GT(runner, 0);
  ::kill(runner, SIGKILL);
  let_go();
  EXPECT_EQ(dewar.wait(), 0) << dewar.err();
  EXPECT_THAT(dewar.err(), HasSubstr("the runner died; starting it again (1 of 5)"));
  const json report = last_object(dewar.out());
  EXPECT_EQ(report["state"], "SUCCESS");
  EXPECT_EQ(report["processes"][0]["runs"].size(), 1u) << "the living process was taken over";
  EXPECT_EQ(in_sandbox("started").find('\n'), in_sandbox("started").size() - 1) << "and started once";
}

TEST_F(RunTest, ARunnerThatDiesIsStartedAgainForWhoeverOnlyWantsTheEnd) {
  DewarCommand dewar(run(task(kWaits)), DewarCommand::Output::kTerminal);
  ASSERT_TRUE(dewar.wait_for("task t in ")) << dewar.out();
  wait_for_file("started");
  const pid_t runner = runner_in(folder_.path());
  ASSERT_GT(runner, 0);
  ::kill(runner, SIGKILL);
  let_go();
  EXPECT_EQ(dewar.wait(), 0) << dewar.out();
  EXPECT_THAT(dewar.out(), HasSubstr("the runner died; starting it again (1 of 5)"));
  EXPECT_THAT(dewar.out(), HasSubstr(R"("state": "SUCCESS")"));
}

TEST_F(RunTest, TheFirstInterruptKillsTheTaskWithItsFinalizers) {
  DewarCommand dewar(run(task(kWaits), "jsonl"));
  ASSERT_TRUE(dewar.wait_for(R"("state":"RUNNING")")) << dewar.err();
  dewar.signal(SIGINT);
  EXPECT_EQ(dewar.wait(), 1);
  const json report = last_object(dewar.out());
  EXPECT_EQ(report["state"], "KILLED");
  EXPECT_EQ(report["processes"][1]["runs"][0]["state"], "SUCCESS");
}

TEST_F(RunTest, TheSecondInterruptEndsItAtOnce) {
  DewarCommand dewar(run(task(R"yaml(
name: stubborn
processes:
  - {name: deaf, cmdline: 'trap "touch heard" TERM; touch ready; while :; do sleep 0.05; done'}
  - {name: last, final: true, cmdline: 'touch finalized'}
finalization_wait: 30s
)yaml"),
                         "jsonl"));
  ASSERT_TRUE(dewar.wait_for(R"("state":"RUNNING")")) << dewar.err();
  wait_for_file("ready");
  dewar.signal(SIGTERM);
  ASSERT_TRUE(dewar.wait_for(R"("state":"CLEANING")")) << dewar.err();
  dewar.signal(SIGTERM);
  EXPECT_EQ(dewar.wait(), 1);
  const json report = last_object(dewar.out());
  EXPECT_EQ(report["state"], "LOST") << report["reason"];
  EXPECT_EQ(report["processes"][1]["runs"].size(), 0u) << "no finalizer";
}

TEST_F(RunTest, WithoutAWorkFolderOneIsMadeAndNamed) {
  DewarCommand dewar({"run", task(kQuick), "-o", "json", "--keep"});
  EXPECT_EQ(dewar.wait(), 0) << dewar.err();
  const std::string sandbox = json::parse(dewar.out())["sandbox"];
  const std::size_t end = sandbox.find("/slaves/");
  const std::string work = sandbox.substr(0, end);
  EXPECT_TRUE(work.starts_with("/var/tmp/dewar-")) << work;
  EXPECT_THAT(dewar.err(), HasSubstr(work));
  EXPECT_TRUE(exists(sandbox)) << "what a task leaves stays readable";
  EXPECT_TRUE(remove_tree(work));
}

}  // namespace
}  // namespace dewar
