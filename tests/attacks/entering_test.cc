// Attacks on processes that are just entering a sandbox, and on what they bring along.
#include <fcntl.h>
#include <linux/capability.h>
#include <pty.h>
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

/// What `act` does in a session whose terminal is a new one of the host's; its exit status, and what was typed there.
std::pair<int, std::string> at_a_terminal(const std::function<int()>& act) {
  int master = -1;
  const pid_t pid = ::forkpty(&master, nullptr, nullptr, nullptr);
  if (pid == 0) ::_exit(act());
  const UniqueFd terminal(master);
  std::string shown;
  char buffer[4096];
  for (ssize_t n = 0; (n = ::read(master, buffer, sizeof buffer)) > 0;)
    shown.append(buffer, static_cast<std::size_t>(n));
  return {wait_for(pid), shown};
}

// covers: S15
TEST_F(EnteringTest, TheTerminalOfWhoStartsATaskIsOutOfItsReach) {
  const Container container = make();
  const auto [code, shown] = at_a_terminal([&] {
    if (!open_file("/dev/tty", O_RDWR)) return 2;
    for (const uid_t uid : {uid_t{0}, kSomebody}) {
      const std::string output = attack(container, "terminal", uid).output;
      if (!output.ends_with("tty No such device or address\n") || !breaches(output).empty()) return 3;
    }
    return 0;
  });
  EXPECT_EQ(code, 0) << shown;
  EXPECT_EQ(shown, "") << "what is typed in is echoed";
}

/// A console of the host's that the task was granted: only the filter is left.
// covers: S15
TEST_F(EnteringTest, NobodyTypesOrPastesIntoAConsoleOfTheHosts) {
  constexpr char kConsole[] = "/dev/tty9";
  if (!open_file(kConsole, O_RDWR | O_NOCTTY)) GTEST_SKIP() << "this host has no " << kConsole;
  spec().sandbox.devices = {{kConsole, "rw"}};
  const Container container = make();
  const std::string act = std::string("exec ./attack terminal ") + kConsole;
  const Ended filtered = run(container, act, 0);
  EXPECT_THAT(filtered.output, HasSubstr("opened\n"));
  EXPECT_EQ(breaches(filtered.output), "");
  const Ended open = finish(start(container, act, 0, [](AttemptRecipe& recipe) { recipe.seccomp.clear(); }));
  EXPECT_THAT(breaches(open.output), HasSubstr("TIOCLINUX 6 on descriptor")) << "without it nothing else says no";
}

}  // namespace
}  // namespace dewar
