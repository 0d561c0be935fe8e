#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "tests/launch/launch_fixture.h"

namespace dewar::testing {
namespace {

class AttemptTest : public LaunchTest {
 protected:
  void SetUp() override {
    LaunchTest::SetUp();
    if (!IsSkipped()) make_container();
  }
  /// One field of the attempt's own /proc/self/status.
  std::string own_status(const AttemptRecipe& base, const std::string& field) {
    AttemptRecipe recipe = base;
    recipe.argv = {"/bin/sed", "-n", "s/^" + field + ":[\\t ]*//p", "/proc/self/status"};
    EXPECT_EQ(run(recipe).return_code, 0);
    return out();
  }
  std::string own_status(const std::string& field) { return own_status(attempt_recipe(""), field); }
};

constexpr uid_t kNobody = 65534;

TEST_F(AttemptTest, TellsTheExactExitStatus) {
  for (const int code : {0, 1, 42, 255}) {
    const AttemptStatus status = run("exit " + std::to_string(code));
    EXPECT_EQ(status.stage, AttemptStage::kEnded) << explain_step(status.step, status.error, status.detail);
    EXPECT_EQ(status.return_code, code);
    EXPECT_FALSE(status.core_dumped);
    EXPECT_EQ(status.leftovers, 0u);
  }
}

TEST_F(AttemptTest, TellsTheSignalThatEndedIt) {
  for (const int number : {SIGTERM, SIGKILL, SIGHUP, SIGUSR1}) {
    EXPECT_EQ(run("kill -" + std::to_string(number) + " $$").return_code, -number);
  }
}

TEST_F(AttemptTest, TellsWhoItsLauncherIsAndWhenItRan) {
  const AttemptRecipe recipe = attempt_recipe("read line < /sandbox/gate");
  ASSERT_EQ(::mkfifo((scratch() + "/sandbox/gate").c_str(), 0666), 0);
  const pid_t launcher = start(recipe);
  const AttemptStatus running = wait_for_stage(recipe, AttemptStage::kRunning);
  EXPECT_EQ(running.stage, AttemptStage::kRunning);
  EXPECT_EQ(running.launcher, *identify(launcher));
  EXPECT_EQ(slurp("/proc/" + std::to_string(running.pid) + "/comm"), "bash\n");
  {
    const auto gate = open_file(scratch() + "/sandbox/gate", O_WRONLY);
    ASSERT_TRUE(write_all(gate->get(), "go\n", "gate"));
  }
  EXPECT_EQ(wait_for_launcher(launcher), 0);
  const auto ended = status_of(recipe);
  EXPECT_EQ(ended->stage, AttemptStage::kEnded);
  EXPECT_EQ(ended->pid, running.pid);
  EXPECT_EQ(ended->start_time, running.start_time);
  EXPECT_GE(ended->stop_time, ended->start_time);
  EXPECT_GT(ended->start_time, 1.6e9);
}

TEST_F(AttemptTest, OfOurOwnStaysInTheHostsNamespacesButInItsCgroup) {
  AttemptRecipe recipe =
      attempt_recipe("for n in pid mnt net; do readlink /proc/self/ns/$n; done; cat /proc/self/cgroup");
  recipe.on_host = true;
  recipe.cwd = "/";
  EXPECT_EQ(run(recipe).return_code, 0) << err();
  std::string namespaces;
  for (const char* name : {"pid", "mnt", "net"}) {
    char link[64] = {};
    ASSERT_GT(::readlink((std::string("/proc/self/ns/") + name).c_str(), link, sizeof link - 1), 0);
    namespaces += std::string(link) + "\n";
  }
  EXPECT_EQ(out().substr(0, namespaces.size()), namespaces);
  const std::string leaf = recipe.unified_cgroup.substr(recipe.unified_cgroup.rfind('/') + 1);
  EXPECT_NE(out().find("/" + leaf + "\n"), std::string::npos) << out();
}

TEST_F(AttemptTest, KeepsStdoutAndStderrApart) {
  run("echo out; echo err >&2");
  EXPECT_EQ(out(), "out\n");
  EXPECT_EQ(err(), "err\n");
}

TEST_F(AttemptTest, HasDescriptorsZeroToTwoAndNoOthers) {
  run("ls /proc/$$/fd; readlink /proc/$$/fd/0; true");
  EXPECT_EQ(out(), "0\n1\n2\n/dev/null\n");
}

TEST_F(AttemptTest, HasExactlyTheEnvironmentOfItsRecipe) {
  AttemptRecipe recipe = attempt_recipe("");
  recipe.argv = {"/usr/bin/env"};
  recipe.env = {"NAME=value with blanks", "EMPTY=", "TWO=lines\nhere"};
  run(recipe);
  EXPECT_EQ(out(), "NAME=value with blanks\nEMPTY=\nTWO=lines\nhere\n");
}

TEST_F(AttemptTest, RunsInItsFolderInASessionOfItsOwnWithUmask022) {
  run("pwd; umask; cut -d' ' -f6 /proc/$$/stat | grep -x $$ > /dev/null && echo leader");
  EXPECT_EQ(out(), "/sandbox\n0022\nleader\n");
}

TEST_F(AttemptTest, StartsWithEverySignalAtItsDefault) {
  EXPECT_EQ(own_status("SigIgn"), "0000000000000000\n");
  EXPECT_EQ(own_status("SigBlk"), "0000000000000000\n");
}

TEST_F(AttemptTest, HasNoCapabilityEvenAsRoot) {
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}) {
    EXPECT_EQ(own_status(set), "0000000000000000\n") << set;
  }
}

TEST_F(AttemptTest, KeepsTheCapabilitiesOfItsRecipeAsAnotherUser) {
  AttemptRecipe recipe = attempt_recipe("");
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}) {
    recipe = attempt_recipe("");
    recipe.user = {"nobody", kNobody, kNobody, {}};
    recipe.capabilities = 1u << 10 | 1u << 13;  // NET_BIND_SERVICE, NET_RAW
    EXPECT_EQ(own_status(recipe, set), "0000000000002400\n") << set;
  }
}

TEST_F(AttemptTest, RunsAsItsUserWithExactlyItsGroups) {
  AttemptRecipe recipe = attempt_recipe("id -u; id -g; id -G; touch /sandbox/x");
  recipe.user = {"nobody", kNobody, kNobody, {4, 5}};
  const AttemptStatus status = run(recipe);
  EXPECT_EQ(out(), "65534\n65534\n65534 4 5\n");
  EXPECT_NE(status.return_code, 0) << "root's folder was writable";
  struct stat info {};
  ASSERT_EQ(::stat((recipe.logs.folder + "/stdout").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 0u) << "what a process has written is not its own to change";
  EXPECT_EQ(info.st_mode & 07777, 0644u);
}

TEST_F(AttemptTest, CanGainNoPrivileges) {
  EXPECT_EQ(own_status("NoNewPrivs"), "1\n");
  // A copy of id that belongs to root and is set-uid still runs as the caller.
  AttemptRecipe recipe = attempt_recipe("/sandbox/id -u");
  recipe.user = {"nobody", kNobody, kNobody, {}};
  ASSERT_TRUE(replace_file(scratch() + "/sandbox/id", slurp("/usr/bin/id"), 0755));
  ASSERT_EQ(::chmod((scratch() + "/sandbox/id").c_str(), 04755), 0);
  run(recipe);
  EXPECT_EQ(out(), "65534\n");
}

TEST_F(AttemptTest, HasItsOwnSessionKeyring) {
  // keyctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0); a keyring that is joined twice has one number.
  const char* script = "perl -e 'print syscall(250, 0, -3, 0)'";
  if (run(script).return_code != 0 || out() == "-1") GTEST_SKIP() << "no perl or no keyrings";
  const std::string first = out();
  run(script);
  EXPECT_NE(out(), first);
  EXPECT_NE(out(), std::to_string(::syscall(250, 0, -3, 0)));
}

TEST_F(AttemptTest, RunsWithTheRlimitsOfItsRecipe) {
  AttemptRecipe recipe = attempt_recipe("ulimit -Sn; ulimit -Hn; ulimit -Sc");
  recipe.rlimits = {{RLIMIT_NOFILE, 100, 200}, {RLIMIT_CORE, 0, 0}};
  run(recipe);
  EXPECT_EQ(out(), "100\n200\n0\n");
}

TEST_F(AttemptTest, IsBoundByItsSystemCallFilter) {
  // if (nr == mkdir || nr == mkdirat) return EPERM; allow
  const struct {
    std::uint16_t code;
    std::uint8_t jt, jf;
    std::uint32_t k;
  } filter[] = {{0x20, 0, 0, 0}, {0x15, 2, 0, 83}, {0x15, 1, 0, 258}, {0x06, 0, 0, 0x7fff0000}, {0x06, 0, 0, 0x50001}};
  AttemptRecipe recipe = attempt_recipe("mkdir /sandbox/made; ls /sandbox");
  recipe.seccomp.assign(reinterpret_cast<const char*>(filter), sizeof filter);
  EXPECT_EQ(run(recipe).return_code, 0);
  EXPECT_EQ(out(), "");
  EXPECT_NE(err().find("Operation not permitted"), std::string::npos);
}

TEST_F(AttemptTest, SharesAllNamespacesWithItsContainer) {
  const AttemptRecipe recipe = attempt_recipe("sleep 1000");
  const pid_t launcher = start(recipe);
  const AttemptStatus status = wait_for_stage(recipe, AttemptStage::kRunning);
  const auto link = [](pid_t pid, const std::string& name) {
    char text[64] = {};
    (void)!::readlink(("/proc/" + std::to_string(pid) + "/ns/" + name).c_str(), text, sizeof text - 1);
    return std::string(text);
  };
  for (const char* name : {"pid", "mnt", "ipc", "uts", "net"}) {
    EXPECT_EQ(link(status.pid, name), link(init_id().pid, name)) << name;
  }
  const bool v2_alone = recipe.v1_cgroups.empty();  // then each attempt has a cgroup namespace of its own
  EXPECT_EQ(link(status.pid, "cgroup") != link(init_id().pid, "cgroup"), v2_alone);
  for (const char* name : {"pid", "mnt", "ipc", "uts", "cgroup"}) {
    EXPECT_NE(link(status.pid, name), link(::getpid(), name)) << name;
    EXPECT_EQ(link(launcher, name), link(::getpid(), name)) << "launcher's " << name;
  }
  ::kill(status.pid, SIGKILL);
  wait_for_launcher(launcher);
}

TEST_F(AttemptTest, ItsContainersEndIsItsEnd) {
  const AttemptRecipe recipe = attempt_recipe("trap '' TERM; sleep 1000");
  const pid_t launcher = start(recipe);
  wait_for_stage(recipe, AttemptStage::kRunning);
  ASSERT_TRUE(send_signal(init(), SIGKILL));
  EXPECT_EQ(wait_for_launcher(launcher), 0);
  EXPECT_EQ(status_of(recipe)->return_code, -SIGKILL);
}

TEST_F(AttemptTest, TheLauncherIgnoresSignalsThatAreNotItsAttempts) {
  const AttemptRecipe recipe = attempt_recipe("read line < /sandbox/gate; exit 5");
  ASSERT_EQ(::mkfifo((scratch() + "/sandbox/gate").c_str(), 0666), 0);
  const pid_t launcher = start(recipe);
  wait_for_stage(recipe, AttemptStage::kRunning);
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE}) ::kill(launcher, number);
  { const auto gate = open_file(scratch() + "/sandbox/gate", O_WRONLY); }
  EXPECT_EQ(wait_for_launcher(launcher), 0);
  EXPECT_EQ(status_of(recipe)->return_code, 5);
}

TEST_F(AttemptTest, GoesOnWhenItsLauncherIsKilledAndTheStatusStillSaysRunning) {
  const AttemptRecipe recipe =
      attempt_recipe("read line < /sandbox/gate; echo alive > /sandbox/proof; exec sleep 1000");
  ASSERT_EQ(::mkfifo((scratch() + "/sandbox/gate").c_str(), 0666), 0);
  const pid_t launcher = start(recipe);
  const AttemptStatus running = wait_for_stage(recipe, AttemptStage::kRunning);
  ::kill(launcher, SIGKILL);
  EXPECT_EQ(wait_for_launcher(launcher), -SIGKILL);
  ASSERT_EQ(::mkfifo((scratch() + "/sandbox/proof").c_str(), 0666), 0);
  { const auto gate = open_file(scratch() + "/sandbox/gate", O_WRONLY); }
  EXPECT_EQ(slurp(scratch() + "/sandbox/proof"), "alive\n");
  EXPECT_EQ(status_of(recipe)->stage, AttemptStage::kRunning);
  EXPECT_TRUE(identify(running.pid));
}

TEST_F(AttemptTest, CannotLookIntoOneThatIsBeingStarted) {
  // A process whose program is not yet /bin/true must be closed to its neighbour of the same user.
  const AttemptRecipe spy = attempt_recipe(
      "while [ ! -e /sandbox/stop ]; do for p in /proc/[0-9]*; do\n"
      "  if [ $p != /proc/$$ ] && [ $p/exe -ef /usr/bin/true ]; then echo true > /sandbox/met\n"
      "  elif [ $p != /proc/$$ ] && [ -e $p/exe ] && [ ! $p/exe -ef /usr/bin/true ] && [ -e $p/exe ]; then echo $p > "
      "/sandbox/seen; fi\n"  // the last question: it has not ended meanwhile
      "done; done");
  const pid_t launcher = start(spy);
  wait_for_stage(spy, AttemptStage::kRunning);
  for (int i = 0; i < 50 || (i < 2000 && !exists(scratch() + "/sandbox/met")); ++i) {
    AttemptRecipe recipe = attempt_recipe("");
    recipe.argv = {"/usr/bin/true"};
    ASSERT_EQ(run(recipe).return_code, 0);
  }
  ASSERT_TRUE(replace_file(scratch() + "/sandbox/stop", ""));
  EXPECT_EQ(wait_for_launcher(launcher), 0);
  EXPECT_TRUE(exists(scratch() + "/sandbox/met")) << "the neighbour saw nobody, so this proves nothing";
  EXPECT_EQ(slurp(scratch() + "/sandbox/seen"), "");
}

TEST_F(AttemptTest, ItsLauncherHoldsNothingOfItsCallerButWhatItNeeds) {
  const AttemptRecipe recipe = attempt_recipe("sleep 1000");
  int extra[2], pipe[2];
  ASSERT_EQ(::pipe2(extra, O_CLOEXEC), 0);
  ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
  const UniqueFd extra_reader(extra[0]);
  UniqueFd extra_writer(extra[1]), reader(pipe[0]), writer(pipe[1]);
  const auto launcher = spawn({.program = DEWAR_BIN "/dewar-launch",
                               .argv = {"dewar-launch"},
                               .env = {},
                               .fds = {-1, -1, -1, reader.get(), init().get(), extra_writer.get()}});
  ASSERT_TRUE(launcher);
  extra_writer.reset();
  ASSERT_TRUE(write_all(writer.get(), encode_recipe(recipe), "recipe"));
  writer.reset();
  const AttemptStatus status = wait_for_stage(recipe, AttemptStage::kRunning);
  pollfd hung_up{extra_reader.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&hung_up, 1, 0), 1);
  EXPECT_TRUE(hung_up.revents & POLLHUP);
  ::kill(status.pid, SIGKILL);
  EXPECT_EQ(wait_for_launcher(*launcher), 0);
}

TEST_F(AttemptTest, HalfARecipeStartsNothingAndLeavesNoTrace) {
  const AttemptRecipe recipe = attempt_recipe("touch /sandbox/ran");
  const std::string bytes = encode_recipe(recipe);
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{16}, bytes.size() / 2, bytes.size() - 1}) {
    EXPECT_EQ(wait_for_launcher(start_launcher(bytes.substr(0, size), {init().get()})), 2);
  }
  EXPECT_FALSE(exists(recipe.status_file));
  EXPECT_FALSE(exists(scratch() + "/sandbox/ran"));
  EXPECT_EQ(logs().size(), 0u);
}

TEST_F(AttemptTest, IsStartedOnlyOnceUnderOneStatusFile) {
  const AttemptRecipe recipe = attempt_recipe("echo run >> /sandbox/runs");
  EXPECT_EQ(run(recipe).stage, AttemptStage::kEnded);
  EXPECT_EQ(wait_for_launcher(start(recipe)), 1);
  EXPECT_EQ(slurp(scratch() + "/sandbox/runs"), "run\n");
}

}  // namespace
}  // namespace dewar::testing
