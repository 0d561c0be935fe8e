// What an attempt leaves behind is gone before its end is told, however it hides.
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "base/units.h"
#include "tests/launch/launch_fixture.h"

namespace dewar::testing {
namespace {

/// With the parameter, the leaf is a cgroup v1 one, where processes must be killed one by one.
class SweepTest : public LaunchTest, public ::testing::WithParamInterface<bool> {
 protected:
  void SetUp() override {
    LaunchTest::SetUp();
    if (IsSkipped()) return;
    if (GetParam() && !has_v1()) GTEST_SKIP() << "no cgroup v1 here";
    make_container();
  }
  AttemptStatus run_here(const std::string& script) {
    AttemptRecipe recipe = attempt_recipe(script);
    if (GetParam()) {
      recipe.unified_cgroup.clear();
      recipe.sweep_cgroup = v1_leaf();
      recipe.v1_cgroups = {recipe.sweep_cgroup};
    }
    const AttemptStatus status = run(recipe);
    EXPECT_EQ(slurp(recipe.sweep_cgroup + "/cgroup.procs"), "");
    EXPECT_EQ(status.stage, AttemptStage::kEnded);
    EXPECT_EQ(status.step, "");
    return status;
  }
};
INSTANTIATE_TEST_SUITE_P(UnifiedAndV1, SweepTest, ::testing::Bool());

TEST_P(SweepTest, KillsABackgroundProcess) {
  const AttemptStatus status = run_here("sleep 1000 & exit 3");
  EXPECT_EQ(status.return_code, 3);
  EXPECT_EQ(status.leftovers, 1u);
  EXPECT_EQ(status.log_error, "");
}

TEST_P(SweepTest, KillsADaemonInItsOwnSession) {
  EXPECT_EQ(run_here("setsid sleep 1000 & while ! pgrep -x sleep > /dev/null; do :; done").leftovers, 1u);
}

TEST_P(SweepTest, KillsADoubleForkedDaemonThatIgnoresSignals) {
  const AttemptStatus status = run_here(
      "( ( trap '' TERM HUP INT; echo up > /sandbox/up; exec sleep 1000 ) & ) ; until [ -s /sandbox/up ]; do :; done");
  EXPECT_EQ(status.return_code, 0);
  EXPECT_EQ(status.leftovers, 1u);
}

TEST_P(SweepTest, KillsProcessesThatForkWhileTheyAreKilled) {
  const AttemptStatus status = run_here("f() { while :; do /bin/true & wait; done; }; f & f & f & exit 0");
  EXPECT_EQ(status.return_code, 0);
  EXPECT_GE(status.leftovers, 3u);
}

TEST_P(SweepTest, TheLastWordsOfWhatIsKilledAreInTheLog) {
  EXPECT_EQ(run_here("( echo last words; : > /sandbox/said; exec sleep 1000 ) & until [ -e /sandbox/said ]; do :; done")
                .leftovers,
            1u);
  EXPECT_EQ(out(), "last words\n");
}

TEST_P(SweepTest, TouchesNobodyOutsideOfTheAttempt) {
  const AttemptRecipe neighbour = attempt_recipe("sleep 1000");
  const pid_t launcher = start(neighbour);
  const AttemptStatus status = wait_for_stage(neighbour, AttemptStage::kRunning);
  EXPECT_EQ(run_here("sleep 1000 & exit 0").leftovers, 1u);
  EXPECT_EQ(status_of(neighbour)->stage, AttemptStage::kRunning);
  ::kill(status.pid, SIGKILL);
  wait_for_launcher(launcher);
}

class OutputTest : public LaunchTest {
 protected:
  void SetUp() override {
    LaunchTest::SetUp();
    if (!IsSkipped()) make_container();
  }
  struct Console {
    std::string out, err;
    AttemptStatus status;
  };
  Console run_on_console(const AttemptRecipe& recipe) {
    int out_ends[2], err_ends[2];
    EXPECT_EQ(::pipe2(out_ends, O_CLOEXEC), 0);
    EXPECT_EQ(::pipe2(err_ends, O_CLOEXEC), 0);
    const UniqueFd out_reader(out_ends[0]), err_reader(err_ends[0]);
    UniqueFd out_writer(out_ends[1]), err_writer(err_ends[1]);
    const pid_t launcher = start(recipe, out_writer.get(), err_writer.get());
    out_writer.reset(), err_writer.reset();
    Console console{*read_all(out_reader.get(), "out"), *read_all(err_reader.get(), "err"), {}};
    EXPECT_EQ(wait_for_launcher(launcher), 0);
    console.status = status_of(recipe).value_or(AttemptStatus{});
    return console;
  }
  std::uint64_t size(const std::string& name) { return log(name).size(); }
};

using Names = std::vector<std::string>;

TEST_F(OutputTest, ToTheConsoleMeansTheLaunchersOwnDescriptors) {
  AttemptRecipe recipe = attempt_recipe("echo out; echo err >&2; exit 4");
  recipe.logs.policy.destination = LogDestination::kConsole;
  const Console console = run_on_console(recipe);
  EXPECT_EQ(console.out, "out\n");
  EXPECT_EQ(console.err, "err\n");
  EXPECT_EQ(console.status.return_code, 4);
  EXPECT_EQ(logs(), Names{});
}

TEST_F(OutputTest, ToBothMeansFilesAndConsole) {
  AttemptRecipe recipe = attempt_recipe("echo out; echo err >&2");
  recipe.logs.policy.destination = LogDestination::kBoth;
  const Console console = run_on_console(recipe);
  EXPECT_EQ(console.out, "out\n");
  EXPECT_EQ(console.err, "err\n");
  EXPECT_EQ(out(), "out\n");
  EXPECT_EQ(err(), "err\n");
}

TEST_F(OutputTest, ToNoneMeansDevNull) {
  AttemptRecipe recipe = attempt_recipe("readlink /proc/$$/fd/1 /proc/$$/fd/2 > /sandbox/where; echo lost");
  recipe.logs.policy.destination = LogDestination::kNone;
  EXPECT_EQ(run(recipe).return_code, 0);
  EXPECT_EQ(slurp(scratch() + "/sandbox/where"), "/dev/null\n/dev/null\n");
  EXPECT_EQ(logs(), Names{});
}

TEST_F(OutputTest, AConsoleThatIsGoneStopsNothing) {
  AttemptRecipe recipe = attempt_recipe("echo one; echo two; exit 6");
  recipe.logs.policy.destination = LogDestination::kBoth;
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  UniqueFd reader(ends[0]);
  const UniqueFd writer(ends[1]);
  reader.reset();
  EXPECT_EQ(wait_for_launcher(start(recipe, writer.get())), 0);
  EXPECT_EQ(status_of(recipe)->return_code, 6);
  EXPECT_EQ(status_of(recipe)->log_error, "stdout: 8 bytes did not reach the console");
  EXPECT_EQ(out(), "one\ntwo\n");
}

TEST_F(OutputTest, AFullDiskStopsNothingAndTheLossIsTold) {
  const AttemptRecipe recipe = attempt_recipe("head -c 200000 /dev/zero; exit 7");
  ASSERT_EQ(::mount("tmpfs", recipe.logs.folder.c_str(), "tmpfs", 0, "size=64k"), 0);
  const AttemptStatus status = run(recipe);
  EXPECT_EQ(size("stdout"), 65536u - 4096u) << "the index has a page of it";
  EXPECT_EQ(::umount(recipe.logs.folder.c_str()), 0);
  EXPECT_EQ(status.stage, AttemptStage::kEnded);
  EXPECT_EQ(status.return_code, 7);
  EXPECT_EQ(status.log_error, "stdout: " + format_bytes(200000 - 65536 + 4096) + " lost: No space left on device");
}

TEST_F(OutputTest, AFullDiskDoesNotHideTheEnd) {
  AttemptRecipe recipe = attempt_recipe("exit 8");
  const std::string folder = scratch() + "/attempts";
  ASSERT_EQ(::mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=64k"), 0);
  recipe.argv[2] = "read line < /sandbox/gate; exit 8";
  ASSERT_EQ(::mkfifo((scratch() + "/sandbox/gate").c_str(), 0666), 0);
  const pid_t launcher = start(recipe);
  wait_for_stage(recipe, AttemptStage::kRunning);
  {  // now the disk fills up to the last byte
    const auto filler = open_file(folder + "/filler", O_WRONLY | O_CREAT);
    while (write_all(filler->get(), std::string(4096, 'x'), "filler")) {
    }
    const auto gate = open_file(scratch() + "/sandbox/gate", O_WRONLY);
  }
  EXPECT_EQ(wait_for_launcher(launcher), 0);
  EXPECT_EQ(status_of(recipe)->stage, AttemptStage::kEnded);
  EXPECT_EQ(status_of(recipe)->return_code, 8);
  EXPECT_EQ(::umount(folder.c_str()), 0);
}

// Thermos's scenario 62.
TEST_F(OutputTest, TwoHundredMebibytesOnOneStreamAreInItsFileToTheByte) {
  for (const int stream : {1, 2}) {
    const AttemptStatus status = run("head -c 209715200 /dev/zero >&" + std::to_string(stream));
    EXPECT_EQ(status.log_error, "");
    EXPECT_EQ(size(stream == 1 ? "stdout" : "stderr"), 209715200u);
    EXPECT_EQ(size(stream == 1 ? "stderr" : "stdout"), 0u);
    EXPECT_EQ(logs(), (Names{"index", "stderr", "stdout"}));
  }
}

// Thermos's scenario 64, at its true size.
TEST_F(OutputTest, SevenHundredMebibytesWithTheDefaultRotationLeaveFiveBackups) {
  AttemptRecipe recipe = attempt_recipe("yes 0123456789abcde | head -c 734003200");
  recipe.logs.policy.mode = LogMode::kRotate;
  EXPECT_EQ(run(recipe).log_error, "");
  EXPECT_EQ(logs(), (Names{"index", "stderr", "stdout", "stdout.1", "stdout.2", "stdout.3", "stdout.4", "stdout.5"}));
  for (const char* name : {"stdout.1", "stdout.5"}) EXPECT_EQ(size(name), 100u << 20) << name;
  EXPECT_EQ(size("stdout"), 0u);
  EXPECT_EQ(size("stderr"), 0u);
}

}  // namespace
}  // namespace dewar::testing
