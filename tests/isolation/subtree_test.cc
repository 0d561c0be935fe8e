// Our cgroups stay inside the subtree that was delegated or named, whatever this host's hierarchies are.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cgroup_members.h"
#include "base/files.h"
#include "isolation/cgroup/group_files.h"
#include "isolation/cgroup/host.h"
#include "tests/isolation/kernel_fixture.h"
#include "tests/support/cgroup_record.h"
#include "tests/support/temp_folder.h"

namespace dewar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// Below the test's own groups: `ours`, in which we may work, and `theirs`, with a process and a limit, in which not.
class SubtreeTest : public KernelTest {
 protected:
  void SetUp() override {
    KernelTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    for (const std::string& root : roots())
      for (const char* name : {"/ours", "/theirs", "/theirs/inner"}) {
        ASSERT_TRUE(make_dirs(root + name));
        ASSERT_TRUE(inherit_cpuset(root + name));
      }
    stranger_ = start_in("theirs/inner");
  }

  void TearDown() override {
    for (const pid_t pid : {stranger_, inhabitant_}) {
      if (pid <= 0) continue;
      ::kill(pid, SIGKILL);
      wait_for(pid);
    }
    for (const std::string& root : roots())
      for (const char* name : {"/ours", "/theirs"}) EXPECT_TRUE(remove_group(root + name));
    KernelTest::TearDown();
  }

  /// The test's folder in every hierarchy, each once.
  std::vector<std::string> roots() const {
    std::vector<std::string> all;
    if (!layout().unified.empty()) all.push_back(layout().unified);
    for (const auto& [controller, folder] : layout().v1)
      if (std::ranges::find(all, folder) == all.end()) all.push_back(folder);
    return all;
  }

  std::string any_ours() const { return roots().front() + "/ours"; }

  CgroupRecord record() const {
    std::vector<std::string> ours;
    for (const std::string& root : roots()) ours.push_back(root + "/ours");
    return {roots(), ours, true};
  }

  bool join_all(const std::string& name) const {
    return std::ranges::all_of(roots(), [&](const std::string& root) {
      return static_cast<bool>(write_group_file(root + "/" + name, "cgroup.procs", "0"));
    });
  }

  /// A process that lives in `name` of every hierarchy until it is killed.
  pid_t start_in(const std::string& name) const {
    const pid_t pid = fork_child([&] { return join_all(name) ? ::pause() : 1; });
    EXPECT_TRUE(eventually([&] {
      return std::ranges::all_of(roots(), [&](const std::string& root) { return *has_members(root + "/" + name); });
    }));
    return pid;
  }

  /// What `look_at_host_cgroups()` finds for a process in `name`: the kind of the subtree and its path.
  std::string found_in(const std::string& name) const {
    const TempFolder folder;
    const std::string file = folder / "found";
    const pid_t pid = fork_child([&] {
      const auto host = join_all(name) ? look_at_host_cgroups() : Result<HostCgroups>(fail("did not join"));
      const std::string words =
          host ? std::to_string(static_cast<int>(host->subtree)) + " " + host->path : host.error().message();
      return replace_file(file, words) ? 0 : 1;
    });
    EXPECT_EQ(wait_for(pid), 0);
    return *read_file(file);
  }

  pid_t stranger_ = -1, inhabitant_ = -1;
};

// covers: delegated subtree
TEST_F(SubtreeTest, NothingOutsideANamedSubtreeIsTouched) {
  inhabitant_ = start_in("ours");
  const CgroupRecord before = record();
  ASSERT_GT(before.size(), 20u);

  const auto prepared = prepare_host_cgroups("dewar", any_ours());
  ASSERT_TRUE(prepared) << prepared.error().message();
  for (const auto& [controller, folder] : prepared->v1) EXPECT_THAT(folder, HasSubstr(tag() + "/ours/dewar"));
  Limits limits;
  limits.memory = 64u << 20;
  limits.pids = 7;
  limits.cpu = 0.5;
  {
    ScratchGroup task(*prepared, "t", limits);
    EXPECT_EQ(task->limits()->memory, limits.memory);
    const pid_t process = start_testcase(*task->create_leaf("a"), {"wait"});
    EXPECT_TRUE(eventually([&] { return task->usage()->pids == 1; }));
    EXPECT_THAT(before.changes(record()), IsEmpty());
    EXPECT_TRUE(task->kill_all(30000));
    wait_for(process);
  }
  EXPECT_THAT(before.changes(record()), IsEmpty());
}

TEST_F(SubtreeTest, ProcessesOfTheSubtreeItselfMoveIntoALeaf) {
  if (layout().v2.empty()) GTEST_SKIP() << "only cgroup2 with controllers keeps processes out of inner groups";
  inhabitant_ = start_in("ours");
  for (int again = 0; again < 2; ++again) {
    const auto prepared = prepare_host_cgroups("dewar", any_ours());
    ASSERT_TRUE(prepared) << prepared.error().message();
    EXPECT_THAT(*members(any_ours() + "/" + kCallersGroup), ElementsAre(inhabitant_));
  }
}

TEST_F(SubtreeTest, TheGroupThatWasDelegatedToUsIsOurs) {
  EXPECT_THAT(found_in("ours"), ::testing::Not(HasSubstr(tag()))) << "nobody has delegated it";
  const std::string marked = any_ours();
  ASSERT_EQ(::setxattr(marked.c_str(), "trusted.delegate", "1", 1, 0), 0) << errno;
  if (layout().unified.empty()) GTEST_SKIP() << "v1 alone has the mark in systemd's own hierarchy";
  const auto delegated = std::to_string(static_cast<int>(Subtree::kDelegated)) + " ";
  EXPECT_THAT(found_in("ours"), ::testing::AllOf(::testing::StartsWith(delegated), ::testing::EndsWith("/ours")));

  for (const std::string& root : roots())
    for (const char* name : {"/ours/callers", "/ours/deeper"})
      ASSERT_TRUE(make_dirs(root + name) && inherit_cpuset(root + name));
  EXPECT_THAT(found_in("ours/callers"), ::testing::EndsWith("/ours")) << "we have moved there ourselves";
  EXPECT_THAT(found_in("ours/deeper"), ::testing::Not(HasSubstr(tag()))) << "somebody else's part of it";
}

TEST_F(SubtreeTest, ASubtreeThatCannotDoIsRefusedWithWords) {
  const auto words_of = [](const std::string& below) {
    const auto made = prepare_host_cgroups("dewar", below);
    return made ? "" : made.error().message();
  };
  EXPECT_THAT(words_of("/no/such/cgroup"), HasSubstr("there is no cgroup '/no/such/cgroup' on this host: make it"));
  EXPECT_THAT(words_of("tasks"), HasSubstr("'tasks' names no cgroup: its path begins with '/'"));
  EXPECT_THAT(words_of("/tasks/../../x"), HasSubstr("a path without '..'"));
  const std::string poor = any_ours() + "/poor";  // cgroup2: no controller was switched on for it; v1: in one hierarchy
  ASSERT_TRUE(make_dirs(poor));
  EXPECT_THAT(words_of(poor), HasSubstr("/ours/poor' offers no controller 'cpu': give it one"));
  EXPECT_FALSE(exists(poor + "/dewar"));
}

TEST_F(SubtreeTest, TheTopCanBeNamed) {
  const auto host = look_at_host_cgroups("/");
  ASSERT_TRUE(host) << host.error().message();
  EXPECT_EQ(host->subtree, Subtree::kTop);
  EXPECT_EQ(host->path, "");
}

}  // namespace
}  // namespace dewar
