// Attacks on processes that are just entering a sandbox, and on what they bring along.
#include <linux/capability.h>
#include <sys/stat.h>

#include "base/files.h"
#include "isolation/attempt_status.h"
#include "isolation/seccomp/profile.h"
#include "tests/attacks/attack_test.h"

namespace dewar {
namespace {

using ::testing::HasSubstr;
using EnteringTest = AttackTest;

constexpr int kVictims = 60;

struct FileState {
  std::string content;
  mode_t mode;
  bool operator==(const FileState&) const = default;
};

FileState state_of(const std::string& path) {
  struct stat info {};
  EXPECT_EQ(::stat(path.c_str(), &info), 0);
  return {read_file(path).take(), info.st_mode};
}

// covers: S1
TEST_F(EnteringTest, OurProgramCannotBeChangedThroughProcesses) {
  const FileState before = state_of(spec().launcher);
  const Container container = make();
  constexpr std::uint64_t kPtrace = std::uint64_t{1} << CAP_SYS_PTRACE;
  const std::string filter = compile_seccomp("default", kPtrace).take();
  for (const std::uint64_t capabilities : {std::uint64_t{0}, kPtrace}) {
    for (const uid_t uid : {uid_t{0}, kSomebody}) {
      Running attacker = start(container, "./attack exe", uid, [&](AttemptRecipe& recipe) {
        recipe.capabilities = capabilities;
        recipe.seccomp = filter;
        recipe.writable.clear();  // Landlock, where there is one, forbids it once more
      });
      for (int i = 0; i < kVictims / 4; ++i) EXPECT_EQ(run(container, "true", uid).code, 0);
      tell_to_stop();
      const Ended ended = finish(std::move(attacker));
      EXPECT_EQ(breaches(ended.output), "") << "uid " << uid << " capabilities " << capabilities;
      EXPECT_THAT(ended.output, HasSubstr("tried "));
      ASSERT_EQ(::unlink(folder("sandbox/stop").c_str()), 0);
      ASSERT_TRUE(state_of(spec().launcher) == before) << "dewar-launch has been changed";
    }
  }
}

// covers: S2
TEST_F(EnteringTest, AProcessGetsNoDescriptorButItsOwnThree) {
  const Container container = make();
  for (const uid_t uid : {uid_t{0}, kSomebody})
    EXPECT_EQ(attack(container, "fds", uid).output, "0 1 2 \ncwd " + spec().sandbox_folder + "\n");
}

// covers: S2
TEST_F(EnteringTest, AWorkingFolderThatLeadsOutOfTheSandboxIsRefused) {
  const Container container = make();
  for (const char* folder : {"/proc/self/fd/3", "/proc/self/fd/4", "/proc/self/fd/9", "/proc/1/cwd", "/proc/1/root",
                             "/proc/self/root/../.."}) {
    Running running = start(container, "pwd", 0, [&](AttemptRecipe& recipe) { recipe.cwd = folder; });
    EXPECT_EQ(wait_for(running.launcher), 0);
    const auto status = last_status(read_file(running.recipe.status_file).take());
    ASSERT_TRUE(status) << folder;
    EXPECT_EQ(status->stage, AttemptStage::kRefused) << folder;
    EXPECT_EQ(status->step, "working_directory") << folder;
    EXPECT_TRUE(running.leaf.remove());
  }
}

// covers: S3
TEST_F(EnteringTest, NobodyGetsHoldOfAProcessBeforeItIsConfined) {
  const Container container = make();
  for (const uid_t uid : {uid_t{0}, kSomebody}) {
    Running attacker = start(container, "./attack enter", uid, [](AttemptRecipe& recipe) { recipe.writable.clear(); });
    for (int i = 0; i < kVictims; ++i) EXPECT_EQ(run(container, "true", uid).code, 0);
    tell_to_stop();
    const Ended ended = finish(std::move(attacker));
    EXPECT_EQ(breaches(ended.output), "") << "uid " << uid;
    EXPECT_THAT(ended.output, HasSubstr("tried "));
    ASSERT_EQ(::unlink(folder("sandbox/stop").c_str()), 0);
  }
}

// covers: S15
TEST_F(EnteringTest, NobodyTypesIntoATerminal) {
  const Container container = make();
  for (const uid_t uid : {uid_t{0}, kSomebody}) {
    // Even into one of its own, which it controls.
    const Ended ended = run(container,
                            "python3 - <<'end'\nimport pty, subprocess\nmaster, slave = pty.openpty()\n"
                            "subprocess.run([\"./attack\", \"terminal\"], stdin=slave, start_new_session=True)\nend",
                            uid);
    EXPECT_EQ(breaches(ended.output), "") << uid;
    EXPECT_EQ(ended.output, "TIOCSTI Operation not permitted\ntty Success\n") << uid;
    EXPECT_THAT(attack(container, "terminal", uid).output, HasSubstr("tty No such device or address"))
        << "it begins in a session without a terminal";
  }
}

}  // namespace
}  // namespace dewar
