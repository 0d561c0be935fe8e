// Cgroup over folders of plain files, laid out as the three kinds of host have them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/files.h"
#include "isolation/cgroup/cgroup.h"
#include "tests/support/temp_folder.h"

namespace dewar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class CgroupFiles : public ::testing::Test {
 protected:
  void put(const std::string& path, const std::string& text) {
    ASSERT_TRUE(make_dirs(parent_of(root_ / path)));
    ASSERT_TRUE(replace_file(root_ / path, text));
  }
  std::string text(const std::string& path) const {
    const auto content = read_file(root_ / path);
    return content ? *content : "(no file)";
  }

  CgroupLayout v2() const {
    CgroupLayout layout;
    layout.unified = root_ / "unified";
    layout.v2 = {"cpu", "memory", "pids"};
    return layout;
  }
  CgroupLayout v1() const {
    CgroupLayout layout;
    for (const char* controller : {"cpu", "cpuacct", "memory", "pids"}) layout.v1[controller] = root_ / controller;
    return layout;
  }
  CgroupLayout hybrid() const {
    CgroupLayout layout = v1();
    layout.v1.erase("cpuacct");
    layout.unified = root_ / "unified";
    return layout;
  }
  void make(const CgroupLayout& layout) {
    std::vector<std::string> folders = {root_ / "unified"};
    for (const auto& [controller, folder] : layout.v1) folders.push_back(folder);
    for (const std::string& folder : folders) ASSERT_TRUE(make_dirs(folder));
  }

  TempFolder root_;
};

TEST_F(CgroupFiles, V2UsageComesFromItsOneFolder) {
  put("unified/t/cpu.stat", "usage_usec 30\nuser_usec 20\nsystem_usec 10\n");
  put("unified/t/memory.current", "4096\n");
  put("unified/t/memory.peak", "8192\n");
  put("unified/t/memory.events", "oom 1\noom_kill 2\n");
  put("unified/t/pids.current", "3\n");
  const auto usage = Cgroup::find(v2(), "t")->usage();
  ASSERT_TRUE(usage) << usage.error().message();
  EXPECT_EQ(*usage, (Usage{20, 10, 4096, 8192, 2, 3}));
}

TEST_F(CgroupFiles, WithoutMemoryPeakThePeakIsWhatIsUsedNow) {
  put("unified/t/cpu.stat", "");
  put("unified/t/memory.current", "4096\n");
  put("unified/t/memory.events", "");
  put("unified/t/pids.current", "1\n");
  EXPECT_EQ(Cgroup::find(v2(), "t")->usage()->memory_peak_bytes, 4096);
}

TEST_F(CgroupFiles, V1UsageComesFromEachControllersFolder) {
  put("cpuacct/t/cpuacct.usage", "30000000\n");
  put("cpuacct/t/cpuacct.stat", "user 2\nsystem 1\n");
  put("memory/t/memory.usage_in_bytes", "4096\n");
  put("memory/t/memory.max_usage_in_bytes", "8192\n");
  put("memory/t/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n");
  put("memory/t/leaf/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
  put("pids/t/pids.current", "3\n");
  const auto usage = Cgroup::find(v1(), "t")->usage();
  ASSERT_TRUE(usage) << usage.error().message();
  EXPECT_EQ(*usage, (Usage{20000, 10000, 4096, 8192, 2, 3})) << "an OOM kill is counted in the leaf only";
}

TEST_F(CgroupFiles, HybridCpuTimeComesFromCgroup2) {
  put("unified/t/cpu.stat", "usage_usec 30\nuser_usec 20\nsystem_usec 10\n");
  put("memory/t/memory.usage_in_bytes", "1\n");
  put("memory/t/memory.max_usage_in_bytes", "2\n");
  put("memory/t/memory.oom_control", "");
  put("pids/t/pids.current", "3\n");
  EXPECT_EQ(*Cgroup::find(hybrid(), "t")->usage(), (Usage{20, 10, 1, 2, 0, 3}));
}

TEST_F(CgroupFiles, AGroupThatIsGoneHasNoUsage) {
  make(v2());
  ASSERT_TRUE(make_dirs(root_ / "unified/t"));
  const auto group = Cgroup::find(v2(), "t");
  ASSERT_TRUE(remove_tree(root_ / "unified/t"));
  EXPECT_EQ(group->usage().error().code, std::errc::no_such_file_or_directory);
}

TEST_F(CgroupFiles, ALeafSplitsOnlyWhatCountsPerAttempt) {
  make(v1());
  const auto task = Cgroup::create(v1(), "t");
  ASSERT_TRUE(task) << task.error().message();
  const auto leaf = task->create_leaf("web.0");
  ASSERT_TRUE(leaf) << leaf.error().message();
  EXPECT_EQ(leaf->unified(), "");
  EXPECT_EQ(leaf->sweep_folder(), root_ / "memory/t/web.0");
  EXPECT_THAT(leaf->v1_folders(),
              ElementsAre(root_ / "memory/t/web.0", root_ / "cpuacct/t/web.0", root_ / "cpu/t", root_ / "pids/t"));
  EXPECT_THAT(task->leaves(), ElementsAre("web.0"));
}

TEST_F(CgroupFiles, ControllersMountedTogetherShareALeaf) {
  CgroupLayout layout = v1();
  layout.v1["cpu"] = layout.v1["cpuacct"] = root_ / "cpu,cpuacct";
  make(layout);
  const auto leaf = Cgroup::create(layout, "t")->create_leaf("a");
  ASSERT_TRUE(leaf) << leaf.error().message();
  EXPECT_THAT(leaf->v1_folders(), ElementsAre(root_ / "memory/t/a", root_ / "cpu,cpuacct/t/a", root_ / "pids/t"));
}

TEST_F(CgroupFiles, AHybridLeafIsBornInCgroup2AndSplitsMemory) {
  make(hybrid());
  const auto leaf = Cgroup::create(hybrid(), "t")->create_leaf("a");
  ASSERT_TRUE(leaf) << leaf.error().message();
  EXPECT_EQ(leaf->unified(), root_ / "unified/t/a");
  EXPECT_EQ(leaf->sweep_folder(), root_ / "unified/t/a");
  EXPECT_THAT(leaf->v1_folders(), ElementsAre(root_ / "memory/t/a", root_ / "cpu/t", root_ / "pids/t"));
}

TEST_F(CgroupFiles, ACreateThatFailsLeavesNothing) {
  make(hybrid());
  ASSERT_TRUE(make_dirs(root_ / "pids/t"));
  const auto task = Cgroup::create(hybrid(), "t");
  ASSERT_FALSE(task);
  EXPECT_EQ(task.error().code, std::errc::file_exists);
  EXPECT_THAT(task.error().message(), HasSubstr(root_ / "pids/t"));
  EXPECT_FALSE(exists(root_ / "unified/t"));
  EXPECT_FALSE(exists(root_ / "memory/t"));
  EXPECT_FALSE(exists(root_ / "cpu/t"));
  EXPECT_TRUE(exists(root_ / "pids/t")) << "it was there before";
}

TEST_F(CgroupFiles, AHalfMadeGroupIsFoundAndRemoved) {
  make(hybrid());
  ASSERT_TRUE(make_dirs(root_ / "memory/t/init"));
  auto task = Cgroup::find(hybrid(), "t");
  ASSERT_TRUE(task) << task.error().message();
  EXPECT_THAT(task->leaves(), ElementsAre("init"));
  EXPECT_TRUE(*task->empty());
  ASSERT_TRUE(task->kill_all(1000));
  ASSERT_TRUE(task->remove());
  EXPECT_FALSE(exists(root_ / "memory/t"));
  EXPECT_TRUE(task->remove()) << "safe to repeat";
  EXPECT_EQ(Cgroup::find(hybrid(), "t").error().code, std::errc::no_such_file_or_directory);
}

TEST_F(CgroupFiles, NamesThatLeadElsewhereAreRefused) {
  make(v1());
  const auto task = Cgroup::create(v1(), "t");
  for (const char* name : {"", ".", "..", "a/b", "../x", ".hidden"}) {
    EXPECT_EQ(Cgroup::create(v1(), name).error().code, std::errc::invalid_argument) << name;
    EXPECT_EQ(Cgroup::find(v1(), name).error().code, std::errc::invalid_argument) << name;
    EXPECT_EQ(task->create_leaf(name).error().code, std::errc::invalid_argument) << name;
  }
}

TEST_F(CgroupFiles, LimitsAreWrittenToEveryKnob) {
  for (const char* file : {"cpu/t/cpu.shares", "cpu/t/cpu.cfs_quota_us", "memory/t/memory.limit_in_bytes",
                           "memory/t/memory.memsw.limit_in_bytes", "pids/t/pids.max"})
    put(file, "");
  Limits limits;
  limits.cpu = 2;
  limits.memory = 1u << 20;
  limits.pids = 7;
  auto task = Cgroup::find(hybrid(), "t");
  const auto set = task->set(limits);
  ASSERT_TRUE(set) << set.error().message();
  EXPECT_EQ(text("cpu/t/cpu.shares"), "2048");
  EXPECT_EQ(text("cpu/t/cpu.cfs_quota_us"), "-1");
  EXPECT_EQ(text("memory/t/memory.limit_in_bytes"), "1048576");
  EXPECT_EQ(text("memory/t/memory.memsw.limit_in_bytes"), "1048576");
  EXPECT_EQ(text("pids/t/pids.max"), "7");
  const auto back = task->limits();
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(back->memory, 1u << 20);
  EXPECT_EQ(back->swap, 0u);
  EXPECT_EQ(back->pids, 7u);
  EXPECT_EQ(back->cpu, 2);
}

TEST_F(CgroupFiles, AHostWithoutSwapAccountingServesTasksThatAskForNoSwap) {
  for (const char* file :
       {"cpu/t/cpu.shares", "cpu/t/cpu.cfs_quota_us", "memory/t/memory.limit_in_bytes", "pids/t/pids.max"})
    put(file, "");
  Limits limits;
  limits.memory = 1u << 20;
  auto task = Cgroup::find(hybrid(), "t");
  EXPECT_TRUE(task->set(limits));
  limits.swap = 1u << 20;
  const auto refused = task->set(limits);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("limiting swap"));
  EXPECT_THAT(refused.error().message(), HasSubstr("swapaccount=1"));
}

TEST_F(CgroupFiles, ALimitWithoutItsControllerIsRefusedBeforeAnythingIsWritten) {
  CgroupLayout layout = hybrid();
  layout.v1.erase("pids");
  put("cpu/t/cpu.shares", "");
  put("cpu/t/cpu.cfs_quota_us", "");
  put("memory/t/memory.limit_in_bytes", "");
  Limits limits;
  limits.cpu = 2;
  limits.pids = 7;
  auto task = Cgroup::find(layout, "t");
  const auto refused = task->set(limits);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, std::errc::not_supported);
  EXPECT_THAT(refused.error().message(), HasSubstr("'pids'"));
  EXPECT_EQ(text("cpu/t/cpu.shares"), "");
}

TEST_F(CgroupFiles, AHostWithoutAnyHierarchyIsToldAsSuch) {
  const auto task = Cgroup::create(CgroupLayout{}, "t");
  ASSERT_FALSE(task);
  EXPECT_EQ(task.error().code, std::errc::not_supported);
}

TEST_F(CgroupFiles, AFreshGroupHasNoLeaves) {
  make(v1());
  EXPECT_THAT(Cgroup::create(v1(), "t")->leaves(), IsEmpty());
}

}  // namespace
}  // namespace dewar
