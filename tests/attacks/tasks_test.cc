// Attacks of one task on another, and on what belongs to Dewar: processes, keys, sockets, logs, the run folder.
#include <fcntl.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <filesystem>
#include <sstream>

#include "base/files.h"
#include "tests/attacks/attack_test.h"
#include "tests/scenario/task_run.h"

namespace dewar {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using TasksTest = AttackTest;

// covers: S9
TEST_F(TasksTest, TwoTasksCannotReachEachOther) {
  ContainerSpec other = spec();
  other.id = "other";
  other.root_folder = folder("other-root");
  {
    const Container mine = make();
    const auto neighbour = Container::create(other);
    ASSERT_TRUE(neighbour) << neighbour.error().message();
    for (const uid_t uid : {uid_t{0}, kSomebody}) {
      Running victim = start(*neighbour,
                             "ipcmk -M 4096 >/dev/null; : > victim; until [ -e stop ]; do sleep 0.01; done; "
                             "echo survived; ipcrm --all",
                             uid);
      ASSERT_TRUE(eventually([&] { return exists(folder("sandbox/victim")); }));
      const Ended ended = attack(mine, "strangers", uid);
      EXPECT_EQ(breaches(ended.output), "") << uid;
      EXPECT_THAT(ended.output, HasSubstr("seen 0\n"));
      EXPECT_EQ(run(mine, "ipcs -m | grep -c ^0x", uid).output, "0\n");
      tell_to_stop();
      EXPECT_EQ(finish(std::move(victim)).output, "survived\n");
      ASSERT_EQ(::unlink(folder("sandbox/stop").c_str()) + ::unlink(folder("sandbox/victim").c_str()), 0);
    }
  }
  EXPECT_TRUE(Container::sweep(other, 30000));
}

/// Whoever starts a task here has a key in his session, as after a login.
class KeysTest : public AttackTest {
 protected:
  /// The keyring stays as long as this process.
  static void SetUpTestSuite() { ::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr); }
  void SetUp() override {
    const long key = ::syscall(SYS_add_key, "user", "dewar-test", "secret", 6, KEY_SPEC_SESSION_KEYRING);
    if (key < 0 && errno == ENOSYS) GTEST_SKIP() << "this kernel has no keys";
    ASSERT_GT(key, 0);
    AttackTest::SetUp();
  }
};

// covers: S10
TEST_F(KeysTest, OfTheCallerCannotBeReached) {
  const Container container = make();
  for (const uid_t uid : {uid_t{0}, kSomebody}) {
    const Ended filtered = attack(container, "keys", uid);
    EXPECT_EQ(breaches(filtered.output), "") << uid;
    EXPECT_EQ(filtered.output,
              "add_key: Operation not permitted\nrequest_key: Operation not permitted\n"
              "keyctl: Operation not permitted\nkeyctl user: Operation not permitted\n");
    // Without the filter it can ask, but has a keyring of its own.
    const Ended open =
        finish(start(container, "./attack keys", uid, [](AttemptRecipe& recipe) { recipe.seccomp.clear(); }));
    EXPECT_THAT(open.output, HasSubstr("keyctl: Required key not available\n")) << uid;
  }
}

std::set<std::string> abstract_sockets(const std::string& table) {
  std::istringstream lines(table);
  std::set<std::string> names;
  for (std::string line; std::getline(lines, line);) {
    const std::size_t at = line.find('@');
    if (at != std::string::npos) names.insert(line.substr(at));
  }
  return names;
}

class WholeTaskTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  }
  /// A task of root's, which finds the attacker as $attack.
  static std::string task(const std::string& processes, const std::string& sandbox = "") {
    return "name: hostile\nsandbox: {binds: [\"" DEWAR_BIN "/attack:/attack\"]" + sandbox + "}\nprocesses:\n" +
           processes;
  }
  static TaskRun::Options as(const std::string& user) {
    TaskRun::Options options;
    options.user = user;
    return options;
  }
};

// covers: S7
TEST_F(WholeTaskTest, NoSocketOfOursHasAnAbstractName) {
  const auto before = abstract_sockets(read_file("/proc/net/unix").take());
  TaskRun run(task("  - {name: scan, cmdline: 'cat /proc/net/unix'}\n"), as("root"));
  run.run();
  const std::string seen = run.output("scan");
  EXPECT_THAT(seen, HasSubstr("Path")) << "it shares the host's network, so it sees them all";
  for (const std::string& name : abstract_sockets(seen)) {
    EXPECT_TRUE(before.contains(name) || name.find("dewar") == std::string::npos) << name;
  }
  EXPECT_THAT(seen, HasSubstr("/control")) << "the runner's own, which has a path";
  struct stat info {};
  ASSERT_EQ(::stat(run.spec().run_folder.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0700u) << "where only root passes";
}

/// The descriptors above 2 of a process that its children would inherit, "7 -> /some/file".
std::vector<std::string> inheritable(pid_t pid) {
  const std::string process = "/proc/" + std::to_string(pid);
  std::vector<std::string> found;
  for (const std::string& name : list_dir(process + "/fd").take()) {
    const auto info = read_file(process + "/fdinfo/" + name);
    const std::size_t at = info ? info->find("flags:\t") : std::string::npos;
    if (at == std::string::npos || (name.size() == 1 && name < "3")) continue;
    const bool close_on_exec = (std::stoul(info->substr(at + 7), nullptr, 8) & O_CLOEXEC) != 0;
    if (!close_on_exec)
      found.push_back(name + " -> " + std::filesystem::read_symlink(process + "/fd/" + name).string());
  }
  return found;
}

// covers: S2
TEST_F(WholeTaskTest, EveryDescriptorOfOursClosesOnExec) {
  TaskRun run(task("  - {name: a, cmdline: 'touch a; until [ -e stop ]; do sleep 0.01; done'}\n"
                   "  - {name: b, cmdline: 'touch b; until [ -e stop ]; do sleep 0.01; done'}\n"),
              as("root"));
  run.start();
  run.wait_file("a");
  run.wait_file("b");
  run.wait_running("a");
  run.wait_running("b");
  const std::string runner = std::to_string(run.runner_pid());
  EXPECT_THAT(inheritable(run.runner_pid()), IsEmpty()) << "the runner";
  std::istringstream children(read_file("/proc/" + runner + "/task/" + runner + "/children").take());
  int count = 0;
  for (pid_t pid = 0; children >> pid; ++count) EXPECT_THAT(inheritable(pid), IsEmpty()) << "PID 1 or a launcher";
  EXPECT_EQ(count, 3);
  ASSERT_TRUE(replace_file(run.sandbox() + "/stop", ""));
  run.wait_end();
}

// covers: S14
TEST_F(WholeTaskTest, ASetuidProgramInASandboxIsOutOfOthersReach) {
  TaskRun run(task("  - {name: plant, cmdline: 'cp /attack evil; chmod 6777 . evil'}\n"), as("root"));
  run.run();
  const std::string evil = run.sandbox() + "/evil", work_dir = evil.substr(0, evil.find("/slaves/"));
  ASSERT_EQ(::chmod(work_dir.c_str(), 0755), 0) << "as a host has it";
  struct stat info {};
  ASSERT_EQ(::stat(evil.c_str(), &info), 0);
  ASSERT_EQ(info.st_mode & 07777, 06777u) << "it was planted";
  const pid_t pid = fork_child([&] {
    if (::setresgid(kSomebody, kSomebody, kSomebody) != 0 || ::setresuid(kSomebody, kSomebody, kSomebody) != 0)
      return 1;
    ::execl(evil.c_str(), "evil", nullptr);  // which would end with 122
    return errno == EACCES ? 0 : 2;
  });
  EXPECT_EQ(wait_for(pid), 0);
}

class ExhaustTest : public AttackTest {
 protected:
  static constexpr std::int64_t kMemory = 48 << 20;

  void SetUp() override {
    AttackTest::SetUp();
    spec().sandbox.limits.memory = kMemory;
    spec().sandbox.limits.pids = 200;
  }
  /// What an act that is to end by itself says.
  std::string told(const Container& container, const std::string& act) {
    const Ended ended = attack(container, "exhaust " + act, kSomebody);
    EXPECT_EQ(ended.code, 0) << act;
    return ended.output;
  }
};

// covers: S16
TEST_F(ExhaustTest, MemoryOfEveryKindEndsAtTheTasksLimit) {
  for (const std::string kind : {"memory", "memfd", "shm", "inodes /tmp", "inodes /dev/shm", "pipes", "sockets"}) {
    {
      const Container container = make();
      const Ended ended = attack(container, "exhaust " + kind, kSomebody);
      EXPECT_EQ(ended.code, -SIGKILL) << kind << ": " << ended.output;
      const std::int64_t peak = container.cgroup().usage()->memory_peak_bytes.value_or(0);
      EXPECT_GE(peak, kMemory / 10 * 9) << kind;
      EXPECT_LE(peak, kMemory) << kind;
    }
    EXPECT_TRUE(Container::sweep(spec(), 30000));
  }
}

// covers: S16
TEST_F(ExhaustTest, ProcessesInodesAndDescriptorsEndAtTheirs) {
  spec().sandbox.tmpfs = {{.target = "/tmp", .size = 1u << 20, .inodes = 100}};
  const Container container = make();
  EXPECT_EQ(told(container, "inodes /tmp"), "99 No space left on device\n");
  EXPECT_EQ(told(container, "inodes /"), "0 Read-only file system\n") << "elsewhere it makes none";
  EXPECT_EQ(told(container, "processes"), "198 Resource temporarily unavailable\n") << "with PID 1 and itself";
  Running files = start(container, "./attack exhaust files", kSomebody, [](AttemptRecipe& recipe) {
    recipe.rlimits = {{RLIMIT_NOFILE, 100, 100}};
  });
  EXPECT_EQ(finish(std::move(files)).output, "97 Too many open files\n");
  Running sent = start(container, "./attack exhaust sent", kSomebody, [](AttemptRecipe& recipe) {
    recipe.rlimits = {{RLIMIT_NOFILE, 100, 100}};
  });
  const std::string kept = finish(std::move(sent)).output;
  EXPECT_THAT(kept, ::testing::EndsWith(" Too many references: cannot splice\n"));
  EXPECT_LE(std::stol(kept), 100) << "nor are more kept in sockets";
  EXPECT_EQ(run(container, "echo alive").output, "alive\n");
}

// covers: S16
TEST_F(WholeTaskTest, NothingIsUnlimitedByDefault) {
  TaskRun run(task("  - {name: look, cmdline: 'ulimit -Sn; ulimit -Hn; /attack exhaust files'}\n"), as("nobody"));
  run.run();
  std::istringstream lines(run.output("look"));
  long soft = 0, hard = 0, opened = 0;
  lines >> soft >> hard >> opened;
  EXPECT_EQ(soft, 1024);
  EXPECT_TRUE(hard >= 1024 && hard <= 524288) << hard;
  EXPECT_EQ(opened, soft - 3) << "and holds";
  EXPECT_EQ(run.spec().sandbox.limits.pids, 4096u);
  EXPECT_GT(run.spec().sandbox.limits.memory, 0u);
}

// covers: S17
TEST_F(WholeTaskTest, OutputGoesWhereItShallWhateverATaskPutsThere) {
  const TempFolder host;
  ASSERT_EQ(::chmod(host.path().c_str(), 0777), 0);
  ASSERT_TRUE(replace_file(host / "stdout", "untouched\n", 0666));
  TaskRun run(task("  - name: swap\n    cmdline: |\n      /attack logs $HOME/.logs/\n"
                   "      rm -f .logs; ln -s " +
                   host.path() +
                   " .logs; mkdir -p x/after/0; ls -la > here\n"
                   "  - {name: after, cmdline: 'echo mine; echo more >&2'}\norder: [swap, after]\n"),
              as("root"));
  run.run();
  EXPECT_EQ(breaches(run.output("swap")), "");
  EXPECT_THAT(run.output("swap"), HasSubstr("tried "));
  EXPECT_EQ(run.output("after"), "mine\n");
  EXPECT_EQ(run.output("after", 0, "stderr"), "more\n");
  EXPECT_EQ(read_file(host / "stdout").take(), "untouched\n");
  EXPECT_EQ(list_dir(host.path()).take(), std::vector<std::string>{"stdout"});
  EXPECT_EQ(list_dir(run.spec().run_folder + "/.logs").take(), (std::vector<std::string>{"after", "swap"}));
}

}  // namespace
}  // namespace dewar
