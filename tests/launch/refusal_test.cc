// Every step that can fail says its name, the errno and what it was about, and nothing of the task has run.
#include <linux/capability.h>
#include <linux/filter.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/files.h"
#include "base/pipe.h"
#include "tests/launch/launch_fixture.h"

namespace dewar::testing {
namespace {

class AttemptRefusal : public LaunchTest {
 protected:
  void SetUp() override {
    LaunchTest::SetUp();
    if (!IsSkipped()) make_container();
  }
  AttemptRecipe recipe() { return attempt_recipe("touch /sandbox/ran"); }
  void expect_refused(const AttemptRecipe& asked, const std::string& step, int error, const std::string& detail) {
    const AttemptStatus status = run(asked);
    EXPECT_EQ(status.stage, AttemptStage::kRefused);
    EXPECT_EQ(status.step, step);
    EXPECT_EQ(status.error, error) << explain_step(status.step, status.error, status.detail);
    EXPECT_EQ(status.detail, detail);
    EXPECT_FALSE(exists(scratch() + "/sandbox/ran"));
    EXPECT_NE(status.launcher.pid, 0);
  }
};

TEST_F(AttemptRefusal, NamesAMissingProgram) {
  AttemptRecipe asked = recipe();
  asked.argv[0] = "/bin/frobnicate";
  expect_refused(asked, "exec", ENOENT, "/bin/frobnicate");
}

TEST_F(AttemptRefusal, NamesAFileThatIsNoProgram) {
  ASSERT_TRUE(replace_file(scratch() + "/sandbox/text", "text", 0644));
  AttemptRecipe asked = recipe();
  asked.argv[0] = "/sandbox/text";
  expect_refused(asked, "exec", EACCES, "/sandbox/text");
}

TEST_F(AttemptRefusal, NamesAMissingFolder) {
  AttemptRecipe asked = recipe();
  asked.cwd = "/nowhere";
  expect_refused(asked, "working_directory", ENOENT, "/nowhere");
}

TEST_F(AttemptRefusal, EntersNoFolderThroughProc) {
  for (const char* folder : {"/proc/self/fd/3", "/proc/1/root", "/proc/self/cwd"}) {
    AttemptRecipe asked = recipe();
    asked.cwd = folder;
    const AttemptStatus status = run(asked);
    EXPECT_EQ(status.stage, AttemptStage::kRefused) << folder;
    EXPECT_EQ(status.step, "working_directory") << folder;
  }
  ASSERT_EQ(::symlink("/proc/self/fd/4", (scratch() + "/sandbox/trap").c_str()), 0);
  AttemptRecipe asked = recipe();
  asked.cwd = "/sandbox/trap";
  EXPECT_EQ(run(asked).step, "working_directory");
}

TEST_F(AttemptRefusal, NamesAMissingLogFolder) {
  AttemptRecipe asked = recipe();
  asked.logs.folder = scratch() + "/none";
  expect_refused(asked, "open_logs", ENOENT, asked.logs.folder);
}

TEST_F(AttemptRefusal, WritesNoLogThroughASymlink) {
  AttemptRecipe asked = recipe();
  const std::string victim = scratch() + "/victim";
  ASSERT_TRUE(replace_file(victim, "untouched"));
  ASSERT_EQ(::symlink(victim.c_str(), (asked.logs.folder + "/stderr").c_str()), 0);
  expect_refused(asked, "open_logs", ELOOP, asked.logs.folder + "/stderr");
  EXPECT_EQ(slurp(victim), "untouched");
}

TEST_F(AttemptRefusal, NamesAFilterThatTheKernelRefuses) {
  AttemptRecipe asked = recipe();
  const sock_filter nonsense[] = {{0xffff, 0, 0, 0}};
  asked.seccomp.assign(reinterpret_cast<const char*>(nonsense), sizeof nonsense);
  expect_refused(asked, "seccomp", EINVAL, "");
}

TEST_F(AttemptRefusal, NamesBytesThatAreNoFilter) {
  AttemptRecipe asked = recipe();
  asked.seccomp = "12345";
  expect_refused(asked, "seccomp", EINVAL, "5 bytes are no filter");
}

TEST_F(AttemptRefusal, NamesARlimitThatCannotBe) {
  AttemptRecipe asked = recipe();
  asked.rlimits = {{RLIMIT_NOFILE, 300, 200}};
  expect_refused(asked, "rlimit", EINVAL, "resource " + std::to_string(RLIMIT_NOFILE));
}

TEST_F(AttemptRefusal, NamesARlimitAboveTheHardLimit) {
  rlimit now{};
  ::getrlimit(RLIMIT_NOFILE, &now);
  AttemptRecipe asked = recipe();
  asked.rlimits = {{RLIMIT_NOFILE, now.rlim_max + 1, now.rlim_max + 1}};
  const AttemptStatus status = run(asked);
  if (status.stage == AttemptStage::kEnded) GTEST_SKIP() << "CAP_SYS_RESOURCE raises hard limits here";
  EXPECT_EQ(status.step, "rlimit");
  EXPECT_EQ(status.error, EPERM);
}

TEST_F(AttemptRefusal, NamesACapabilityThatDoesNotExist) {
  AttemptRecipe asked = recipe();
  asked.capabilities = 1ull << 62;
  expect_refused(asked, "capabilities", EINVAL, "ambient set");
}

TEST_F(AttemptRefusal, NamesACapabilityThatWeDoNotHaveOurselves) {
  if (::prctl(PR_CAPBSET_READ, CAP_SYS_RESOURCE) == 1) GTEST_SKIP() << "we have them all";
  AttemptRecipe asked = recipe();
  asked.capabilities = 1ull << CAP_SYS_RESOURCE;
  expect_refused(asked, "capabilities", EPERM, "permitted set");
}

TEST_F(AttemptRefusal, NamesAMissingCgroup) {
  AttemptRecipe asked = recipe();
  asked.v1_cgroups = {scratch() + "/none"};
  expect_refused(asked, "join_cgroup", ENOENT, scratch() + "/none");
  asked = recipe();
  asked.unified_cgroup = scratch() + "/none";
  expect_refused(asked, "join_cgroup", ENOENT, scratch() + "/none");
}

TEST_F(AttemptRefusal, NamesAFolderThatIsNoCgroup) {
  AttemptRecipe asked = recipe();
  asked.unified_cgroup = scratch();
  expect_refused(asked, "clone", EBADF, scratch());
}

TEST_F(AttemptRefusal, NamesAContainerThatHasEnded) {
  ASSERT_TRUE(send_signal(init(), SIGKILL));
  while (!has_ended(init())) {
  }
  AttemptRecipe asked = recipe();
  const AttemptStatus status = run(asked);
  EXPECT_EQ(status.stage, AttemptStage::kRefused);
  EXPECT_TRUE(status.step == "enter_pid_namespace" || status.step == "clone") << status.step;
}

TEST_F(AttemptRefusal, TellsWithoutAStatusFileByItsExitStatus) {
  AttemptRecipe asked = recipe();
  asked.status_file = scratch() + "/none/1";
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  EXPECT_EQ(wait_for_launcher(start(asked, -1, writer.get())), 1);
  writer.reset();
  EXPECT_EQ(*read_all(reader.get(), "words"),
            "dewar-launch: step status_file: " + asked.status_file + ": No such file or directory\n");
  EXPECT_FALSE(exists(scratch() + "/sandbox/ran"));
}

TEST_F(AttemptRefusal, FollowsNoSymlinkToAStatusFile) {
  AttemptRecipe asked = recipe();
  ASSERT_EQ(::symlink((scratch() + "/victim").c_str(), asked.status_file.c_str()), 0);
  EXPECT_EQ(wait_for_launcher(start(asked)), 1);
  EXPECT_FALSE(exists(scratch() + "/victim"));
}

class ContainerRefusal : public LaunchTest {
 protected:
  void expect_refused(const ContainerRecipe& asked, const std::string& step, int error, const std::string& detail) {
    const LaunchReport report = launch(asked);
    EXPECT_EQ(report.step, step);
    EXPECT_EQ(report.error, error) << explain_step(report.step, report.error, report.detail);
    EXPECT_EQ(report.detail, detail);
    EXPECT_EQ(*list_dir(scratch() + "/root"), std::vector<std::string>{});
  }
};

TEST_F(ContainerRefusal, TouchesNothingOutsideOfNewNamespaces) {
  Pipe answer = make_pipe().take();
  const pid_t pid = start_launcher(encode_recipe(container_recipe()), {answer.writer.get()});
  answer.writer.reset();
  const auto report = decode_report(*read_all(answer.reader.get(), "answer"));
  EXPECT_EQ(wait_for_launcher(pid), 1);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->step, "pid_namespace");
  EXPECT_EQ(slurp("/proc/self/mountinfo").find(scratch()), std::string::npos);
}

TEST_F(ContainerRefusal, NamesAMissingRoot) {
  ContainerRecipe asked = container_recipe();
  asked.root = scratch() + "/none";
  expect_refused(asked, "root", ENOENT, asked.root);
}

TEST_F(ContainerRefusal, NamesAMissingSource) {
  ContainerRecipe asked = container_recipe();
  asked.mounts.push_back({MountKind::kBind, "/no/such/thing", "/thing", "", true, false, false});
  expect_refused(asked, "mount", ENOENT, "/no/such/thing at /thing");
}

TEST_F(ContainerRefusal, NamesATargetThatCannotBeMade) {
  ContainerRecipe asked = container_recipe();
  asked.mounts.push_back({MountKind::kTmpfs, "", "/usr/new-folder", "", false, false, false});
  expect_refused(asked, "mount", EROFS, "/usr/new-folder");
}

TEST_F(ContainerRefusal, NamesAnOptionThatTheFileSystemDoesNotKnow) {
  ContainerRecipe asked = container_recipe();
  asked.mounts.push_back({MountKind::kTmpfs, "", "/more", "colour=red", false, false, false});
  expect_refused(asked, "mount", EINVAL, "/more");
}

TEST_F(ContainerRefusal, NamesAMissingCgroup) {
  ContainerRecipe asked = container_recipe();
  asked.v1_cgroups = {scratch() + "/none"};
  expect_refused(asked, "join_cgroup", ENOENT, scratch() + "/none");
}

TEST_F(ContainerRefusal, NamesAHostnameThatIsTooLong) {
  ContainerRecipe asked = container_recipe();
  asked.hostname = std::string(65, 'x');
  expect_refused(asked, "hostname", EINVAL, asked.hostname);
}

TEST_F(ContainerRefusal, MountsNothingThroughASymlinkThatLeadsOut) {
  // The task's own folder holds a link to a host folder; inside the new root that path does not exist.
  ASSERT_TRUE(make_dirs(scratch() + "/host"));
  ASSERT_EQ(::symlink((scratch() + "/host").c_str(), (scratch() + "/sandbox/out").c_str()), 0);
  ContainerRecipe asked = container_recipe();
  asked.mounts.push_back({MountKind::kTmpfs, "", "/sandbox/out/planted", "", false, false, false});
  EXPECT_EQ(launch(asked).step, "mount");
  EXPECT_EQ(*list_dir(scratch() + "/host"), std::vector<std::string>{});
}

}  // namespace
}  // namespace dewar::testing
