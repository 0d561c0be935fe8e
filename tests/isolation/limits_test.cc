// More limits crossed on the real kernel, and limits of a living group changed: wholly or not at all.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>

#include "base/encoding.h"
#include "base/files.h"
#include "isolation/cgroup/cgroup.h"
#include "isolation/cgroup/disk.h"
#include "isolation/cgroup/group_files.h"
#include "isolation/cgroup/stat.h"
#include "tests/isolation/kernel_fixture.h"
#include "tests/support/loop_device.h"
#include "tests/support/temp_folder.h"

namespace dewar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::uint64_t kMiB = 1u << 20;

class LimitsTest : public KernelTest {
 protected:
  bool has(const std::string& controller) const {
    const std::string v1 = controller == "io" ? "blkio" : controller;
    return std::ranges::find(layout().v2, controller) != layout().v2.end() || layout().v1.contains(v1);
  }
  /// A control file of the group `t`, wherever its controller is.
  std::string file(const CgroupLayout& layout, const std::string& controller, const std::string& v1,
                   const std::string& v2) const {
    const bool unified = std::ranges::find(layout.v2, controller) != layout.v2.end();
    return (unified ? layout.unified + "/t/" + v2
                    : layout.v1.at(controller == "io" ? "blkio" : controller) + "/t/" + v1);
  }
  /// The files of group `t` whose text differs between two sets of limits.
  static std::vector<std::string> knob_files(const CgroupLayout& layout, const Limits& one, const Limits& other) {
    std::vector<std::string> files;
    for (const Knob& knob : knobs()) {
      const bool unified = std::ranges::find(layout.v2, knob.controller) != layout.v2.end();
      const auto v1 = layout.v1.find(std::string(v1_controller(knob.controller)));
      const KnobForm& form = unified ? knob.v2 : knob.v1;
      if (form.file == nullptr || (!unified && v1 == layout.v1.end())) continue;
      const std::string path = (unified ? layout.unified : v1->second) + "/t/" + knob_file(form, "2MB");
      if (form.text(one, "2MB") != form.text(other, "2MB") && exists(path)) files.push_back(path);
    }
    return files;
  }
  /// For comparing.
  static std::string text_of(const Limits& limits) {
    Limits copy = limits;
    if (copy.io.read_bps + copy.io.write_bps + copy.io.read_iops + copy.io.write_iops == 0) copy.io.device.clear();
    Encoder text;
    text(copy);
    return text.take();
  }

  TempFolder folder_;
};

// covers: limit cpuset.cpus
TEST_F(LimitsTest, ACpusetIsAllThatATaskRunsOn) {
  if (!has("cpuset")) GTEST_SKIP() << "no controller cpuset here";
  if (::sysconf(_SC_NPROCESSORS_ONLN) < 2) GTEST_SKIP() << "needs two processors";
  Limits limits;
  limits.cpuset = "1";
  for (const CgroupLayout& layout : layouts()) {
    ScratchGroup free(layout, "free"), task(layout, "t", limits);
    EXPECT_GE(std::stoi(run_testcase(*free->create_leaf("a"), {"cores"}).output), 2);
    EXPECT_EQ(run_testcase(*task->create_leaf("a"), {"cores"}).output, "1\n");
    EXPECT_EQ(task->limits()->cpuset, "1");
    EXPECT_EQ(free->limits()->cpuset, "") << "what it has is its parent's";
    ASSERT_TRUE(task->set({}));
    EXPECT_GE(std::stoi(run_testcase(*task->create_leaf("b"), {"cores"}).output), 2) << "taken off again";
  }
}

TEST_F(LimitsTest, ACoreThatIsNotThereIsRefusedInWords) {
  ScratchGroup task(layout(), "t");
  Limits limits;
  limits.cpuset = "0,4000";
  EXPECT_THAT(task->set(limits).error().message(), HasSubstr("this host has no core 4000 (online: "));
}

// covers: limit memory.high
TEST_F(LimitsTest, PastTheSoftLimitATaskIsSlowedAndLives) {
  Limits limits;
  limits.memory = 64 * kMiB;
  limits.memory_soft = 16 * kMiB;
  for (const CgroupLayout& layout : layouts()) {
    ScratchGroup task(layout, "t", limits);
    EXPECT_EQ(task->limits()->memory_soft, 16 * kMiB);
    // With its own few pages just past the limit: without swap each further page waits up to two seconds.
    EXPECT_EQ(run_testcase(*task->create_leaf("a"), {"touch", std::to_string(16 * kMiB)}).code, 0);
    EXPECT_EQ(task->usage()->oom_kills, 0);
    if (!pure_v2()) continue;
    EXPECT_GT(parse_field(*read_file(layout.unified + "/t/memory.events"), "high"), 0);
  }
}

// covers: limit hugetlb
TEST_F(LimitsTest, HugePagesPastTheLimitAreRefused) {
  const std::string pool = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_overcommit_hugepages";
  if (!has("hugetlb") || !exists(pool)) GTEST_SKIP() << "no huge pages of 2 MB, or no controller hugetlb here";
  const std::string before = *read_file(pool);
  const auto allow = [&](const std::string& pages) {
    const auto fd = open_file(pool, O_WRONLY);
    return fd && write_all(fd->get(), pages, pool);
  };
  ASSERT_TRUE(allow("8"));
  Limits limits;
  limits.hugetlb["2MB"] = 4 * kMiB;
  ScratchGroup task(layout(), "t", limits);
  EXPECT_EQ(task->limits()->hugetlb, limits.hugetlb);
  EXPECT_EQ(run_testcase(*task->create_leaf("a"), {"huge", std::to_string(4 * kMiB)}).output, "0\n");
  EXPECT_EQ(task->huge_pages_refused(), 0);
  const Ended past = run_testcase(*task->create_leaf("b"), {"huge", std::to_string(8 * kMiB)});
  EXPECT_GE(task->huge_pages_refused(), 1);
  EXPECT_TRUE(past.output == std::to_string(ENOMEM) + "\n" || past.code == -SIGBUS) << past.output << past.code;
  ASSERT_TRUE(task->set({}));
  EXPECT_EQ(run_testcase(*task->create_leaf("c"), {"huge", std::to_string(8 * kMiB)}).output, "0\n");
  EXPECT_TRUE(allow(before));
}

TEST_F(LimitsTest, HugePagesOfAnUnknownSizeAreRefusedInWords) {
  ScratchGroup task(layout(), "t");
  Limits limits;
  limits.hugetlb["3MB"] = 3 * kMiB;
  const std::string words = task->set(limits).error().message();
  EXPECT_THAT(words, HasSubstr("limiting huge pages"));
  if (!has("hugetlb")) return;
  EXPECT_THAT(words, HasSubstr("no huge pages of that size"));
}

// covers: limit cpu.max
TEST_F(LimitsTest, ThrottlingIsCounted) {
  Limits limits;
  limits.cpu_quota = 0.05;
  for (const CgroupLayout& layout : layouts()) {
    ScratchGroup task(layout, "t", limits);
    EXPECT_EQ(run_testcase(*task->create_leaf("a"), {"busy", "700"}).code, 0);
    const Usage usage = *task->usage();
    EXPECT_GE(usage.throttled_periods, 2);
    EXPECT_GE(usage.throttled_us, 100000);
  }
}

// covers: limit pids.max
TEST_F(LimitsTest, RefusedForksAreCounted) {
  Limits limits;
  limits.pids = 10;
  for (const CgroupLayout& layout : layouts()) {
    ScratchGroup task(layout, "t", limits);
    EXPECT_EQ(run_testcase(*task->create_leaf("a"), {"fork", "100"}).output, "9 " + std::to_string(EAGAIN) + "\n");
    EXPECT_GE(task->usage()->forks_refused, 1);
  }
}

TEST_F(LimitsTest, ALimitBelowWhatIsUsedIsRefusedAndKillsNobody) {
  Limits limits;
  limits.memory = 128 * kMiB;
  for (const CgroupLayout& layout : layouts()) {
    ScratchGroup task(layout, "t", limits);
    const auto leaf = task->create_leaf("a");
    const pid_t holder = start_testcase(*leaf, {"hold", std::to_string(64 * kMiB)});
    ASSERT_TRUE(eventually([&] { return task->usage()->memory_bytes >= std::int64_t(64 * kMiB); }));
    Limits less = limits;
    less.memory = 16 * kMiB;
    less.pids = 77;
    const auto set = task->set(less);
    ASSERT_FALSE(set);
    EXPECT_THAT(set.error().message(), HasSubstr("more than that is in use already"));
    EXPECT_EQ(task->limits()->memory, 128 * kMiB);
    EXPECT_EQ(task->limits()->pids, 0u);
    EXPECT_EQ(task->usage()->oom_kills, 0);
    EXPECT_FALSE(*leaf->empty());
    ASSERT_TRUE(task->kill_all(30000));
    EXPECT_EQ(wait_for(holder), -SIGKILL);
  }
}

/// What is in use can be given back here: pages of a file that is on the disk already.
TEST_F(LimitsTest, ALimitBelowWhatIsCachedTakesThatBackAndKillsNobody) {
  ASSERT_EQ(::chdir(folder_.path().c_str()), 0);
  Limits limits;
  limits.memory = 128 * kMiB;
  for (const CgroupLayout& layout : layouts()) {
    ScratchGroup task(layout, "t", limits);
    const auto leaf = task->create_leaf("a");
    const pid_t reader = start_testcase(*leaf, {"cache", std::to_string(64 * kMiB)});
    ASSERT_TRUE(eventually([&] { return exists(folder_ / "cached"); }));
    EXPECT_GE(task->usage()->memory_bytes, std::int64_t(60 * kMiB));
    limits.memory = 24 * kMiB;
    const auto set = task->set(limits);
    EXPECT_TRUE(set) << set.error().message();
    EXPECT_EQ(task->limits()->memory, 24 * kMiB);
    EXPECT_LE(task->usage()->memory_bytes, std::int64_t(24 * kMiB));
    EXPECT_EQ(task->usage()->oom_kills, 0);
    EXPECT_FALSE(*leaf->empty()) << "the reader lives";
    ASSERT_TRUE(task->kill_all(30000));
    EXPECT_EQ(wait_for(reader), -SIGKILL);
    ASSERT_EQ(::unlink("cached"), 0);
    limits.memory = 128 * kMiB;
  }
  ASSERT_EQ(::chdir("/"), 0);
}

/// Every file that a change writes is made read-only in turn.
TEST_F(LimitsTest, AChangeIsNeverHalfDone) {
  Limits first, second;
  first.cpu = 1, first.cpu_quota = 1, first.memory = 64 * kMiB, first.memory_soft = 32 * kMiB, first.pids = 100;
  second.cpu = 2, second.cpu_quota = 2, second.memory = 96 * kMiB, second.memory_soft = 48 * kMiB, second.pids = 200;
  if (has("cpuset")) first.cpuset = "0", second.cpuset = "0-1";
  if (const auto disk = disk_below(folder_.path()); has("io") && disk) {
    first.io.device = second.io.device = *disk;
    first.io.read_bps = kMiB, second.io.write_iops = 100;
  }
  for (const CgroupLayout& layout : layouts()) {
    const bool huge = std::ranges::find(layout.v2, "hugetlb") != layout.v2.end() || layout.v1.contains("hugetlb");
    first.hugetlb["2MB"] = huge ? 2 * kMiB : 0;
    second.hugetlb["2MB"] = huge ? 4 * kMiB : 0;
    ScratchGroup task(layout, "t", first);
    const std::string before = text_of(*task->limits());
    int failed = 0;
    for (const std::string& path : knob_files(layout, first, second)) {
      ASSERT_EQ(::mount(path.c_str(), path.c_str(), nullptr, MS_BIND, nullptr), 0) << path;
      ASSERT_EQ(::mount(nullptr, path.c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr), 0);
      const auto set = task->set(second);
      ASSERT_EQ(::umount(path.c_str()), 0);
      ASSERT_FALSE(set) << path;
      EXPECT_THAT(set.error().message(), HasSubstr(path.substr(path.rfind('/') + 1)));
      EXPECT_EQ(text_of(*task->limits()), before) << path;
      ++failed;
    }
    EXPECT_GE(failed, 5);
    EXPECT_TRUE(task->set(second));
    EXPECT_NE(text_of(*task->limits()), before);
    EXPECT_TRUE(task->set(first)) << "and down again";
    EXPECT_EQ(text_of(*task->limits()), before);
  }
}

// covers: F20
TEST_F(LimitsTest, WhatSomebodyChangedIsNamedAndPutBack) {
  Limits limits;
  limits.memory = 64 * kMiB;
  limits.pids = 100;
  for (const CgroupLayout& layout : layouts()) {
    ScratchGroup task(layout, "t", limits);
    const Limits ours = *task->limits();
    EXPECT_TRUE(task->put_back(ours)->empty());
    const std::string memory = file(layout, "memory", "memory.limit_in_bytes", "memory.max");
    const std::string pids = file(layout, "pids", "pids.max", "pids.max");
    ASSERT_TRUE(write_group_file(parent_of(pids), "pids.max", "max"));
    EXPECT_THAT(*task->put_back(ours), ElementsAre("pids.max was 'max' instead of '100'"));
    EXPECT_EQ(*read_file(pids), "100\n");
    EXPECT_EQ(parse_limit(*read_file(memory)), 64 * kMiB);
    EXPECT_TRUE(task->put_back(ours)->empty());
  }
}

// covers: F21
TEST_F(LimitsTest, AGroupThatSomebodyFrozeIsThawed) {
  if (layout().unified.empty()) GTEST_SKIP() << "no cgroup2 here";
  ScratchGroup task(layout(), "t");
  const auto leaf = task->create_leaf("a");
  const pid_t child = fork_child([&] { return join(*leaf) ? ::pause() : 121; });
  ASSERT_TRUE(eventually([&] { return !*leaf->empty(); }));
  EXPECT_FALSE(task->is_frozen());
  for (const std::string& folder : {task->unified(), leaf->unified()}) {
    ASSERT_TRUE(write_group_file(folder, "cgroup.freeze", "1"));
    EXPECT_TRUE(task->is_frozen());
    EXPECT_TRUE(task->thaw());
    EXPECT_FALSE(task->is_frozen());
  }
  EXPECT_FALSE(task->thaw()) << "nothing to undo";
  EXPECT_EQ(*leaf->signal_all(SIGTERM), 1);
  EXPECT_EQ(wait_for(child), -SIGTERM);
}

// covers: F20
TEST_F(LimitsTest, AGroupThatSomebodyRemovedIsMissed) {
  for (const CgroupLayout& layout : layouts()) {
    ScratchGroup task(layout, "t");
    EXPECT_EQ(task->missing_folder(), "");
    const std::string folder = parent_of(file(layout, "pids", "pids.max", "pids.max"));
    ASSERT_EQ(::rmdir(folder.c_str()), 0);
    EXPECT_EQ(task->missing_folder(), folder);
  }
}

// covers: F19
TEST_F(LimitsTest, AGroupThatIsBusyIsToldAndAnotherNameIsFree) {
  for (const CgroupLayout& layout : layouts()) {
    ScratchGroup task(layout, "t");
    const pid_t child = start_testcase(*task->create_leaf("a"), {"wait"});
    ASSERT_TRUE(eventually([&] { return !*task->empty(); }));
    EXPECT_EQ(task->remove().error().code, std::errc::device_or_resource_busy);
    ScratchGroup next(layout, "t2");
    EXPECT_EQ(run_testcase(*next->create_leaf("a"), {"cores"}).code, 0);
    ASSERT_TRUE(task->kill_all(30000));
    EXPECT_EQ(wait_for(child), -SIGKILL);
    EXPECT_TRUE(task->remove()) << "and then it goes";
    EXPECT_TRUE(task->remove()) << "once more does no harm";
  }
}

/// The layouts of this host, and one whose devices are decided by a program though it has v1's controller.
std::vector<CgroupLayout> device_layouts(const std::vector<CgroupLayout>& all) {
  std::vector<CgroupLayout> layouts = all;
  layouts.push_back(all.front());
  layouts.back().v1.erase("devices");
  return layouts;
}

/// Both layers: without the controller, mknod(2) and open(2) below would work, for we are root with CAP_MKNOD.
// covers: S12, limit devices
TEST_F(LimitsTest, OnlyGrantedDevicesAreOpenedOrMade) {
  ASSERT_TRUE(replace_file(folder_ / "disk-image", std::string(1 << 16, 'x')));
  const LoopDevice disk(folder_ / "disk-image");
  if (disk.path().empty()) GTEST_SKIP() << "no loop device is to be had here";
  if (::chdir(folder_.path().c_str()) != 0) FAIL();
  const std::vector<std::string> try_all = {"devices", disk.path()};
  const std::string free = run_testcase(*ScratchGroup(layout(), "free")->create_leaf("a"), try_all).output;
  ASSERT_THAT(free, HasSubstr("null made read\n")) << "needs CAP_MKNOD and a file system with devices";
  ASSERT_THAT(free, HasSubstr("kmsg made read\ndisk made read\n"));
  for (const CgroupLayout& layout : device_layouts(layouts())) {
    ScratchGroup task(layout, "t");
    const auto grants = grants_for({});
    ASSERT_TRUE(grants);
    const auto allowed = task->allow_devices(*grants);
    ASSERT_TRUE(allowed) << allowed.error().message();
    EXPECT_EQ(run_testcase(*task->create_leaf("a"), try_all).output,
              "null made read\nkmsg not made, not read\ndisk not made, not read\n");

    ScratchGroup more(layout, "more");
    ASSERT_TRUE(more->allow_devices(*grants_for({{"/dev/kmsg", "r"}})));
    EXPECT_EQ(run_testcase(*more->create_leaf("a"), try_all).output,
              "null made read\nkmsg not made, read\ndisk not made, not read\n");
  }
  ASSERT_EQ(::chdir("/"), 0);
}

}  // namespace
}  // namespace dewar
