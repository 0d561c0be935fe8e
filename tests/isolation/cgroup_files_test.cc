// Cgroup over folders of plain files, laid out as the three kinds of host have them.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

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
  /// The same file with other content, as the kernel's are.
  void rewrite(const std::string& path, const std::string& text) {
    const auto file = open_file(root_ / path, O_WRONLY | O_TRUNC);
    ASSERT_TRUE(file && write_all(file->get(), text, path));
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
  Usage expected{20, 10, 4096, 8192, 2, 3};
  expected.pids_peak = 3;
  EXPECT_EQ(*usage, expected) << "what no file tells is unknown";
}

TEST_F(CgroupFiles, V2TellsMemoryIoFaultsAndPressure) {
  put("unified/t/cpu.stat", "usage_usec 30\nuser_usec 20\nsystem_usec 10\nnr_throttled 3\nthrottled_usec 4711\n");
  put("unified/t/memory.current", "10000\n");
  put("unified/t/memory.stat", "anon 4000\nfile 6000\nkernel 5\ninactive_file 1000\npgfault 70\npgmajfault 20\n");
  put("unified/t/io.stat",
      "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=9 dios=9\n254:0 \n8:16 rbytes=10 wbytes=20 rios=30 wios=40\n");
  put("unified/t/cpu.pressure", "some avg10=1.00 avg60=0.00 avg300=0.00 total=11\n");  // `full`: Linux 5.13
  put("unified/t/memory.pressure", "some avg10=0.00 total=12\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=13\n");
  put("unified/t/pids.events", "max 6\n");
  put("unified/t/pids.current", "3\n");
  put("unified/t/pids.peak", "9\n");
  CgroupLayout layout = v2();
  layout.v2.push_back("io");
  const Usage usage = *Cgroup::find(layout, "t")->usage();
  EXPECT_EQ(usage.throttled_periods, 3);
  EXPECT_EQ(usage.throttled_us, 4711);
  EXPECT_EQ(usage.memory_anon_bytes, 4000);
  EXPECT_EQ(usage.memory_file_bytes, 6000);
  EXPECT_EQ(usage.working_set_bytes, 9000);
  EXPECT_EQ(usage.minor_faults, 50);
  EXPECT_EQ(usage.major_faults, 20);
  EXPECT_EQ(usage.io_read_bytes, 11);
  EXPECT_EQ(usage.io_write_bytes, 22);
  EXPECT_EQ(usage.io_reads, 33);
  EXPECT_EQ(usage.io_writes, 44);
  EXPECT_EQ(usage.cpu_some_us, 11);
  EXPECT_EQ(usage.cpu_full_us, std::nullopt);
  EXPECT_EQ(usage.memory_some_us, 12);
  EXPECT_EQ(usage.memory_full_us, 13);
  EXPECT_EQ(usage.io_some_us, std::nullopt);
  EXPECT_EQ(usage.forks_refused, 6);
  EXPECT_EQ(usage.pids_peak, 9);
}

TEST_F(CgroupFiles, ALeafOfV2WasThrottledWithItsTask) {
  put("unified/t/cpu.stat", "nr_throttled 3\nthrottled_usec 4711\n");
  put("unified/t/leaf/cpu.stat", "usage_usec 30\nuser_usec 20\nsystem_usec 10\nnr_throttled 0\nthrottled_usec 0\n");
  const auto leaf = Cgroup::find(v2(), "t")->find_leaf("leaf");
  EXPECT_EQ(leaf->usage()->throttled_us, std::nullopt) << "a leaf has no quota, so its own counter says nothing";
  put("unified/t/leaf/cpu.stat.local", "throttled_usec 4000\n");
  EXPECT_EQ(leaf->usage()->throttled_us, 4000);
}

TEST_F(CgroupFiles, V1TellsMemoryIoAndFaultsOfAllBelow) {
  put("cpuacct/t/cpuacct.usage", "30000\n");
  put("memory/t/memory.usage_in_bytes", "10000\n");
  put("memory/t/memory.stat",
      "cache 1\nrss 1\npgfault 1\ntotal_cache 6000\ntotal_rss 4000\ntotal_pgfault 70\ntotal_pgmajfault 20\n"
      "total_inactive_file 1000\n");
  put("blkio/t/blkio.throttle.io_service_bytes_recursive",
      "8:0 Read 1\n8:0 Write 2\n8:0 Sync 3\n8:0 Total 3\n8:16 Read 10\n8:16 Write 20\nTotal 33\n");
  put("blkio/t/blkio.throttle.io_serviced_recursive", "8:0 Read 5\n8:0 Write 6\nTotal 11\n");
  put("cpu/t/cpu.stat", "nr_periods 9\nnr_throttled 3\nthrottled_time 4711000\n");
  CgroupLayout layout = v1();
  layout.v1["blkio"] = root_ / "blkio";
  layout.v1["cpu"] = root_ / "cpu";
  const Usage usage = *Cgroup::find(layout, "t")->usage();
  EXPECT_EQ(usage.throttled_us, 4711);
  EXPECT_EQ(usage.memory_anon_bytes, 4000);
  EXPECT_EQ(usage.memory_file_bytes, 6000);
  EXPECT_EQ(usage.working_set_bytes, 9000);
  EXPECT_EQ(usage.minor_faults, 50);
  EXPECT_EQ(usage.io_read_bytes, 11);
  EXPECT_EQ(usage.io_write_bytes, 22);
  EXPECT_EQ(usage.io_reads, 5);
  EXPECT_EQ(usage.io_writes, 6);
  EXPECT_EQ(usage.cpu_some_us, std::nullopt);
  put("blkio/t/blkio.throttle.io_service_bytes_recursive", "Total 0\n");
  EXPECT_EQ(Cgroup::find(layout, "t")->usage()->io_read_bytes, std::nullopt) << "nobody counts, so nothing is known";
}

TEST_F(CgroupFiles, WhatCostsMuchIsReadAgainOnlyWhenTheGroupHasRun) {
  put("unified/t/cpu.stat", "user_usec 20\nsystem_usec 10\n");
  put("unified/t/memory.current", "4096\n");
  put("unified/t/memory.stat", "anon 1\n");
  put("unified/t/io.pressure", "some total=1\n");
  Sampler sampler(Cgroup::find(v2(), "t")->sampled());
  EXPECT_EQ(sampler.look().memory_anon_bytes, 1);
  rewrite("unified/t/memory.stat", "anon 2\n");
  rewrite("unified/t/io.pressure", "some total=2\n");
  EXPECT_EQ(sampler.look().memory_anon_bytes, 1);
  EXPECT_TRUE(sampler.unchanged());
  EXPECT_EQ(sampler.look(Sampler::Depth::kWaiting).memory_anon_bytes, 1);
  EXPECT_EQ(sampler.last().io_some_us, 2) << "it may hang on a disk";
  EXPECT_EQ(sampler.look(Sampler::Depth::kAll).memory_anon_bytes, 2);
  rewrite("unified/t/memory.stat", "anon 3\n");
  rewrite("unified/t/cpu.stat", "user_usec 21\nsystem_usec 10\n");
  EXPECT_EQ(sampler.look().memory_anon_bytes, 3);
  EXPECT_FALSE(sampler.unchanged());
  rewrite("unified/t/memory.stat", "anon 4\n");
  rewrite("unified/t/memory.current", "8192\n");
  EXPECT_EQ(sampler.look().memory_anon_bytes, 4);
}

/// Each open file of a group holds a page of the kernel's memory.
TEST_F(CgroupFiles, OfAGroupThatDoesNotRunOnlyTwoFilesStayOpen) {
  put("unified/t/cpu.stat", "user_usec 20\nsystem_usec 10\n");
  put("unified/t/memory.current", "4096\n");
  for (const char* file : {"memory.stat", "memory.peak", "memory.events", "pids.current", "cpu.pressure"})
    put(std::string("unified/t/") + file, "");
  const auto open_files = [&] {
    int count = 0;
    for (const std::string& fd : *list_dir("/proc/self/fd")) {
      std::error_code gone;
      const std::string target = std::filesystem::read_symlink("/proc/self/fd/" + fd, gone);
      if (target.find("/unified/t/") != std::string::npos) ++count;
    }
    return count;
  };
  Sampler sampler(Cgroup::find(v2(), "t")->sampled());
  EXPECT_EQ(open_files(), 2);
  sampler.look();
  EXPECT_EQ(open_files(), 7);
  sampler.look(Sampler::Depth::kWaiting);
  EXPECT_EQ(open_files(), 7) << "it has run just now";
  sampler.look(Sampler::Depth::kWaiting);
  EXPECT_EQ(open_files(), 2);
  put("unified/t/memory.stat", "anon 5\n");
  rewrite("unified/t/memory.current", "8192\n");
  EXPECT_EQ(sampler.look().memory_anon_bytes, 5) << "opened again";
}

TEST_F(CgroupFiles, FilesOfAnyLengthAreReadWhole) {
  std::string text = "8:0 rbytes=1 wbytes=1 rios=1 wios=1\n";
  for (int i = 1; i < 1000; ++i) text += "9:" + std::to_string(i) + " rbytes=1 wbytes=1 rios=1 wios=1\n";
  put("unified/t/io.stat", text);
  CgroupLayout layout = v2();
  layout.v2.push_back("io");
  EXPECT_EQ(Cgroup::find(layout, "t")->usage()->io_read_bytes, 1000);
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
  Usage expected{20000, 10000, 4096, 8192, 2, 3};
  expected.pids_peak = 3;
  EXPECT_EQ(*usage, expected) << "an OOM kill is counted in the leaf only";
}

TEST_F(CgroupFiles, HybridCpuTimeComesFromCgroup2) {
  put("unified/t/cpu.stat", "usage_usec 30\nuser_usec 20\nsystem_usec 10\n");
  put("memory/t/memory.usage_in_bytes", "1\n");
  put("memory/t/memory.max_usage_in_bytes", "2\n");
  put("memory/t/memory.oom_control", "");
  put("pids/t/pids.current", "3\n");
  Usage expected{20, 10, 1, 2, {}, 3};
  expected.pids_peak = 3;
  EXPECT_EQ(*Cgroup::find(hybrid(), "t")->usage(), expected);
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
