#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "tests/launch/launch_fixture.h"
#include "tests/support/own_mounts.h"

namespace dewar::testing {
namespace {

class ContainerTest : public LaunchTest {
 protected:
  void make(const ContainerRecipe& recipe) {
    const LaunchReport report = launch(recipe);
    ASSERT_TRUE(report.step.empty()) << explain_step(report.step, report.error, report.detail);
  }
  /// stdout of a script in the container.
  std::string says(const std::string& script) {
    run(script);
    return out();
  }
  std::string init_status(const std::string& field) const {
    const std::string text = "\n" + slurp("/proc/" + std::to_string(init_id().pid) + "/status");
    const std::size_t at = text.find("\n" + field + ":\t");
    if (at == std::string::npos) return "";
    const std::size_t from = at + field.size() + 3;
    return text.substr(from, text.find('\n', from) - from);
  }
};

TEST_F(ContainerTest, ItsPid1HasNoRightsNoDescriptorsAndNoWorkToDo) {
  make_container();
  const std::string proc = "/proc/" + std::to_string(init_id().pid);
  EXPECT_EQ(init_status("Name"), "dewar-init");
  EXPECT_EQ(init_status("NoNewPrivs"), "1");
  EXPECT_EQ(init_status("Threads"), "1");
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}) {
    EXPECT_EQ(init_status(set), "0000000000000000") << set;
  }
  EXPECT_EQ(*list_dir(proc + "/fd"), std::vector<std::string>{});
}

TEST_F(ContainerTest, ItsPid1CannotBeLookedIntoFromInside) {
  make_container();
  EXPECT_EQ(
      says("readlink /proc/1/{exe,cwd,root}; ls /proc/1/fd /proc/1/root/ | grep -v :; cat /proc/1/{environ,maps}"), "");
}

TEST_F(ContainerTest, ItsPid1CannotBeKilledFromInside) {
  make_container();
  run("kill -KILL 1; kill -TERM 1; kill -SEGV 1");
  EXPECT_FALSE(has_ended(init()));
}

TEST_F(ContainerTest, ReapsAThousandOrphansWithoutWakingUp) {
  make_container();
  const auto wakeups = [this] { return std::stol(init_status("voluntary_ctxt_switches")); };
  const long before = wakeups();
  // Orphans are PID 1's; the loop ends when only PID 1 and the shell are left, dead or alive.
  EXPECT_EQ(
      says("for i in {1..1000}; do (/bin/true & ); done\n"
           "SECONDS=0; while p=(/proc/[0-9]*) && [ ${#p[@]} -gt 2 ] && [ $SECONDS -lt 20 ]; do :; done; echo ${#p[@]}"),
      "2\n");
  EXPECT_LT(wakeups() - before, 10);  // not none: it may only now be going to sleep
}

TEST_F(ContainerTest, ShowsOnlyWhatTheRecipeNames) {
  make_container();
  EXPECT_EQ(says("cd /; echo *"), "bin dev etc lib lib64 proc sandbox tmp usr\n");
  EXPECT_EQ(says("cd /dev; echo *"), "null urandom zero\n");
  EXPECT_EQ(says("ls " + scratch()), "");
  EXPECT_EQ(says("cd /proc; for p in [0-9]*; do [ $p = 1 ] || [ $p = $$ ] || echo $p; done"), "");
}

TEST_F(ContainerTest, ItsRootAndItsBindsAreReadOnlyButTheSandboxIsNot) {
  make_container();
  for (const char* folder : {"/", "/usr", "/etc", "/dev"}) {
    EXPECT_NE(run("echo > " + std::string(folder) + "/planted").return_code, 0) << folder;
    EXPECT_NE(err().find("Read-only file system"), std::string::npos) << folder << ": " << err();
  }
  EXPECT_EQ(run("echo > /sandbox/made && echo > /tmp/made && echo > /dev/null").return_code, 0);
  EXPECT_TRUE(exists(scratch() + "/sandbox/made"));
  EXPECT_FALSE(exists("/tmp/made"));
}

TEST_F(ContainerTest, IgnoresSetUserIdAndDeviceNodesOnItsMounts) {
  ASSERT_EQ(::mknod((scratch() + "/sandbox/null").c_str(), S_IFCHR | 0666, 0x103), 0);
  make_container();
  EXPECT_EQ(says("while read -r _ _ _ _ target options _; do [[ $options == *nosuid* ]] || echo $target; done"
                 " < /proc/self/mountinfo"),
            "");
  EXPECT_NE(run("echo > /sandbox/null").return_code, 0);
}

TEST_F(ContainerTest, LeavesNoMountOfItsOnTheHost) {
  // The hardest host tells everything it mounts to all its peers; here in a namespace that is only this test's.
  take_own_mounts();
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_SHARED, nullptr) != 0)
    GTEST_SKIP() << "in a chroot, whose root is no mount that could be shared";
  const std::string before = slurp("/proc/self/mountinfo");
  make_container();
  EXPECT_EQ(slurp("/proc/self/mountinfo").find(scratch()), std::string::npos);
  EXPECT_EQ(slurp("/proc/self/mountinfo").size(), before.size());
}

TEST_F(ContainerTest, HasItsOwnHostname) {
  make_container();
  EXPECT_EQ(says("cat /proc/sys/kernel/hostname"), "flask\n");
}

TEST_F(ContainerTest, SeesItsCgroupAsTheRoot) {
  make_container();
  if (!has_cgroup2()) GTEST_SKIP() << "needs cgroup2";
  // With cgroup2 alone each attempt sees itself at the root, beside v1 the container's PID 1 is there.
  const std::string who = attempt_recipe("").v1_cgroups.empty() ? "self" : "1";
  EXPECT_NE(("\n" + says("cat /proc/" + who + "/cgroup")).find("\n0::/\n"), std::string::npos) << out();
}

TEST_F(ContainerTest, WithoutNetworkHasALoopbackThatIsUpAndNothingElse) {
  ContainerRecipe recipe = container_recipe();
  recipe.network = Network::kNone;
  make(recipe);
  EXPECT_EQ(says("tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '"), "lo\n");
  run("exec 3<>/dev/tcp/127.0.0.1/9");
  EXPECT_NE(err().find("Connection refused"), std::string::npos) << err();
}

TEST_F(ContainerTest, MasksFilesAndFolders) {
  ContainerRecipe recipe = container_recipe();
  for (const char* target : {"/proc/sys", "/proc/version", "/proc/none-such"}) {
    recipe.mounts.push_back({MountKind::kMask, "", target, "", false, true, false});
  }
  make(recipe);
  EXPECT_EQ(says("ls -A /proc/sys; cat /proc/version; echo end"), "end\n");
  EXPECT_NE(run("echo > /proc/sys/x").return_code, 0);
}

TEST_F(ContainerTest, MakesFoldersAndSymlinksAsTold) {
  ContainerRecipe recipe = container_recipe();
  recipe.mounts.push_back({MountKind::kFolder, "", "/var/deep/down", "mode=1777", false, false, false});
  recipe.mounts.push_back({MountKind::kSymlink, "/proc/self/fd", "/var/fd", "", false, false, false});
  recipe.mounts.push_back({MountKind::kSymlink, "var/deep", "/link", "", false, false, false});
  recipe.mounts.push_back({MountKind::kTmpfs, "", "/link/memory", "size=64k", false, false, false});
  make(recipe);
  EXPECT_EQ(says("stat -c %a /var/deep/down; readlink /var/fd; stat -f -c %b /var/deep/memory"),
            "1777\n/proc/self/fd\n16\n");
}

TEST_F(ContainerTest, SkipsAnOptionalSourceThatIsMissing) {
  ContainerRecipe recipe = container_recipe();
  recipe.mounts.push_back({MountKind::kBind, "/no/such/thing", "/thing", "", true, true, false});
  make(recipe);
  EXPECT_EQ(says("ls -d /thing"), "");
}

TEST_F(ContainerTest, HasSysfsDevptsAndMqueueOfItsOwn) {
  ContainerRecipe recipe = container_recipe();
  recipe.network = Network::kNone;
  recipe.mounts.push_back({MountKind::kSysfs, "", "/sys", "", true, false, false});
  recipe.mounts.push_back({MountKind::kDevpts, "", "/dev/pts", "newinstance,ptmxmode=0666", false, false, false});
  recipe.mounts.push_back({MountKind::kMqueue, "", "/dev/mqueue", "", false, false, false});
  make(recipe);
  EXPECT_EQ(says("echo /sys/class/net/*; ls /dev/pts; ls -A /dev/mqueue; echo > /sys/kernel/x"),
            "/sys/class/net/lo\nptmx\n");
}

}  // namespace
}  // namespace dewar::testing
