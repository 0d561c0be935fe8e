// Each limit is crossed on the real kernel, each number is checked against a known amount of work.
#include "isolation/cgroup/cgroup.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/swap.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/cgroup_members.h"
#include "base/clock.h"
#include "base/files.h"
#include "isolation/cgroup/host.h"
#include "isolation/cgroup/stat.h"
#include "tests/isolation/kernel_fixture.h"
#include "tests/support/temp_folder.h"

namespace dewar {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::uint64_t kMiB = 1u << 20;

class CgroupTest : public KernelTest {
 protected:
  TempFolder folder_;
};

bool told(const OomNotice& notice, int timeout_ms) {
  pollfd watched{notice.fd.get(), static_cast<short>(notice.version == CgroupVersion::kV2 ? POLLPRI : POLLIN), 0};
  return ::poll(&watched, 1, timeout_ms) == 1;
}

Limits memory_limit(std::uint64_t bytes) {
  Limits limits;
  limits.memory = bytes;
  return limits;
}

TEST_F(CgroupTest, TheHostOffersCpuMemoryAndPids) {
  for (const char* controller : {"cpu", "memory", "pids"}) {
    const bool v2 = std::ranges::find(layout().v2, controller) != layout().v2.end();
    EXPECT_NE(v2, layout().v1.contains(controller)) << controller << " is in exactly one version";
  }
  EXPECT_TRUE(exists(layout().unified.empty() ? layout().v1.at("memory") : layout().unified));
}

TEST_F(CgroupTest, PreparingTheHostTwiceIsTheSame) {
  const auto again = prepare_host_cgroups(tag());
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(again->unified, layout().unified);
  EXPECT_EQ(again->v1, layout().v1);
  EXPECT_EQ(again->v2, layout().v2);
}

TEST_F(CgroupTest, WithoutRootTheWordsSayWhatToDo) {
  const std::string words = folder_ / "words";
  const pid_t stranger = fork_child([&] {
    const auto out = open_file(words, O_WRONLY | O_CREAT);
    if (!out || ::setgid(65534) != 0 || ::setuid(65534) != 0) return 1;
    const auto made = prepare_host_cgroups(tag() + "-refused");
    return made || !write_all(out->get(), made.error().message(), words) ? 1 : 0;
  });
  ASSERT_EQ(wait_for(stranger), 0);
  EXPECT_THAT(*read_file(words), HasSubstr(tag() + "-refused"));
  EXPECT_THAT(*read_file(words), HasSubstr("run as root"));
  EXPECT_THAT(*read_file(words), ::testing::AnyOf(HasSubstr("Permission denied"), HasSubstr("not permitted")));
}

TEST_F(CgroupTest, MemoryPastTheLimitKillsAndIsCountedAndTold) {
  for (const CgroupLayout& layout : layouts()) {
    ScratchGroup task(layout, "t", memory_limit(32 * kMiB));
    const auto leaf = task->create_leaf("a");
    ASSERT_TRUE(leaf) << leaf.error().message();
    const auto watch = task->watch_oom();
    ASSERT_TRUE(watch) << watch.error().message();
    EXPECT_FALSE(told(*watch, 0));
    EXPECT_EQ(run_testcase(*leaf, {"touch", std::to_string(128 * kMiB)}).code, -SIGKILL);
    EXPECT_TRUE(told(*watch, 30000));
    watch->reset();
    EXPECT_FALSE(told(*watch, 0));
    EXPECT_GE(leaf->usage()->oom_kills, 1);
    EXPECT_GE(task->usage()->oom_kills, 1);
    EXPECT_GE(leaf->usage()->memory_peak_bytes, std::int64_t(28 * kMiB));
    EXPECT_LE(leaf->usage()->memory_peak_bytes, std::int64_t(40 * kMiB)) << "the kernel charges in batches";
  }
}

TEST_F(CgroupTest, MemoryBelowTheLimitIsNobodysBusiness) {
  ScratchGroup task(layout(), "t", memory_limit(64 * kMiB));
  const auto watch = task->watch_oom();
  EXPECT_EQ(run_testcase(*task->create_leaf("a"), {"touch", std::to_string(16 * kMiB)}).code, 0);
  EXPECT_EQ(task->usage()->oom_kills, 0);
  EXPECT_FALSE(told(*watch, 0));
}

TEST_F(CgroupTest, V2KillsTheWholeTaskTogether) {
  if (!pure_v2()) GTEST_SKIP() << "cgroup v1 has no memory.oom.group";
  ScratchGroup task(layout(), "t", memory_limit(64 * kMiB));
  const auto quiet = task->create_leaf("quiet");
  const pid_t bystander = start_testcase(*quiet, {"wait"});
  EXPECT_TRUE(eventually([&] { return !*quiet->empty(); }));
  EXPECT_EQ(run_testcase(*task->create_leaf("greedy"), {"touch", std::to_string(256 * kMiB)}).code, -SIGKILL);
  EXPECT_EQ(wait_for(bystander), -SIGKILL);
}

TEST_F(CgroupTest, ForkPastTheLimitFailsWithEagain) {
  Limits limits;
  limits.pids = 10;
  ScratchGroup task(layout(), "t", limits);
  const Ended ended = run_testcase(*task->create_leaf("a"), {"fork", "100"});
  EXPECT_EQ(ended.output, "9 " + std::to_string(EAGAIN) + "\n");
}

TEST_F(CgroupTest, PidsAreCountedInTheLeafAndInTheTask) {
  for (const CgroupLayout& layout : layouts()) {
    ScratchGroup task(layout, "t");
    const auto a = task->create_leaf("a"), b = task->create_leaf("b");
    const pid_t one = start_testcase(*a, {"wait"}), two = start_testcase(*b, {"wait"});
    EXPECT_TRUE(eventually([&] { return task->usage()->pids == 2; }));
    EXPECT_EQ(a->usage()->pids, 1);
    ASSERT_TRUE(task->kill_all(30000));
    EXPECT_EQ(wait_for(one), -SIGKILL);
    EXPECT_EQ(wait_for(two), -SIGKILL);
    EXPECT_EQ(task->usage()->pids, 0);
  }
}

TEST_F(CgroupTest, CpuPastTheQuotaIsThrottled) {
  Limits limits;
  limits.cpu_quota = 0.02;
  ScratchGroup task(layout(), "t", limits);
  const Time begin = SystemClock().now();
  EXPECT_EQ(run_testcase(*task->create_leaf("a"), {"busy", "1000"}).code, 0);
  const auto lived = std::chrono::duration_cast<std::chrono::microseconds>(SystemClock().now() - begin).count();
  const std::string folder = layout().v1.contains("cpu") ? layout().v1.at("cpu") : layout().unified;
  EXPECT_GE(parse_field(*read_file(folder + "/t/cpu.stat"), "nr_throttled"), 3);
  const Usage usage = *task->usage();
  EXPECT_LT(*usage.cpu_us(), 200000 + lived / 50) << "a fiftieth of a core, for about a second on a host that has time";
}

// covers: limit cpu.weight
TEST_F(CgroupTest, ABusyProcessorIsSharedByWeight) {
  Limits little, much;
  little.cpu = 0.1;
  much.cpu = 1;
  ScratchGroup small(layout(), "small", little), big(layout(), "big", much);
  const auto burn_on_one_core = [](const Cgroup& group) {
    return fork_child([&] {
      cpu_set_t first;
      CPU_ZERO(&first);
      CPU_SET(0, &first);
      // In this order: a cpuset of v1 sets the processors of whoever joins.
      if (!join(group) || ::sched_setaffinity(0, sizeof first, &first) != 0) return 1;
      while (true) {
      }
    });
  };
  burn_on_one_core(*small->create_leaf("a"));
  burn_on_one_core(*big->create_leaf("a"));
  const auto used = [](const ScratchGroup& group) { return *(*group).usage()->cpu_user_us; };
  EXPECT_TRUE(eventually([&] { return used(big) > 500000; }));
  EXPECT_LT(used(small) * 3, used(big)) << "a tenth of the weight";
}

TEST_F(CgroupTest, SwapIsOffUnlessAskedFor) {
  auto limits = memory_limit(64 * kMiB);
  ScratchGroup task(layout(), "t", limits);
  EXPECT_EQ(task->limits()->swap, 0u);
  const bool v2 = pure_v2();
  const std::string folder = (v2 ? layout().unified : layout().v1.at("memory")) + "/t/";
  const std::string file = folder + (v2 ? "memory.swap.max" : "memory.memsw.limit_in_bytes");
  if (!exists(file)) GTEST_SKIP() << "this kernel does not account swap";
  EXPECT_EQ(parse_number(*read_file(file)), std::int64_t(v2 ? 0 : 64 * kMiB));
  limits.swap = 32 * kMiB;
  ASSERT_TRUE(task->set(limits));
  EXPECT_EQ(task->limits()->swap, 32 * kMiB);
  EXPECT_EQ(parse_number(*read_file(file)), std::int64_t(v2 ? 32 * kMiB : 96 * kMiB));
}

/// Swap for the whole host, as long as it lives.
class SwapFile {
 public:
  SwapFile(std::string path, std::size_t bytes) : path_(std::move(path)) {
    constexpr std::size_t kPage = 4096;
    struct {  // as mkswap(8) writes it: version and last page after 1 KiB, the name at the end of the first page
      char boot[1024];
      std::uint32_t version, last_page;
      char rest[kPage - 1024 - 8 - 10];
      char name[10];
    } head{};
    head.version = 1;
    head.last_page = static_cast<std::uint32_t>(bytes / kPage - 1);
    std::memcpy(head.name, "SWAPSPACE2", sizeof head.name);
    const auto file = open_file(path_, O_RDWR | O_CREAT);
    on_ = file && ::fallocate(file->get(), 0, 0, static_cast<off_t>(bytes)) == 0 &&
          ::pwrite(file->get(), &head, kPage, 0) == kPage && ::swapon(path_.c_str(), 0) == 0;
  }
  SwapFile(const SwapFile&) = delete;
  SwapFile& operator=(const SwapFile&) = delete;
  ~SwapFile() {
    if (on_) {
      EXPECT_EQ(::swapoff(path_.c_str()), 0);
    }
  }
  bool on() const { return on_; }

 private:
  std::string path_;
  bool on_ = false;
};

// covers: limit memory.swap.max
TEST_F(CgroupTest, WhereThereIsSwapATaskUsesWhatItMayAndNoMore) {
  const SwapFile swap(folder_ / "swap", 256 * kMiB);
  if (!swap.on()) GTEST_SKIP() << "no swap can be had here";
  const auto memory = layout().v1.find("memory");
  if (memory != layout().v1.end() && !exists(memory->second + "/memory.memsw.limit_in_bytes"))
    GTEST_SKIP() << "this kernel does not account swap";
  const auto touched = [](const ScratchGroup& task, std::uint64_t bytes) {
    return run_testcase(*(*task).create_leaf(std::to_string(bytes)), {"touch", std::to_string(bytes)}).code;
  };
  auto limits = memory_limit(32 * kMiB);
  for (const CgroupLayout& layout : layouts()) {
    ScratchGroup none(layout, "none", limits);
    EXPECT_EQ(touched(none, 64 * kMiB), -SIGKILL) << "by default there is none for it";
    limits.swap = 64 * kMiB;
    ScratchGroup some(layout, "some", limits);
    EXPECT_EQ(touched(some, 64 * kMiB), 0) << "half of it is swapped out";
    EXPECT_EQ(touched(some, 160 * kMiB), -SIGKILL) << "more than memory and swap together";
    limits.swap = 0;
  }
}

TEST_F(CgroupTest, LimitsCanBeRaisedLoweredAndLifted) {
  ScratchGroup task(layout(), "t", memory_limit(64 * kMiB));
  for (const std::uint64_t size : {256 * kMiB, 32 * kMiB, std::uint64_t{0}, 16 * kMiB}) {
    const auto set = task->set(memory_limit(size));
    ASSERT_TRUE(set) << set.error().message();
    EXPECT_EQ(task->limits()->memory, size);
  }
}

TEST_F(CgroupTest, ARefusedLimitTakesBackTheOthersAndNamesItself) {
  Limits good;
  good.cpu = 0.5;
  ScratchGroup task(layout(), "t", good);
  Limits bad = good;
  bad.cpu = 2;
  bad.cpu_quota = 1e12;
  const auto set = task->set(bad);
  ASSERT_FALSE(set);
  EXPECT_THAT(set.error().message(), HasSubstr("limiting cpu"));
  EXPECT_THAT(set.error().message(), HasSubstr(pure_v2() ? "cpu.max" : "cpu.cfs_quota_us"));
  EXPECT_THAT(set.error().message(), HasSubstr("100000000000000000"));
  EXPECT_EQ(task->limits()->cpu, 0.5);
}

TEST_F(CgroupTest, CpuTimeCoversChildrenAndDaemons) {
  for (const CgroupLayout& layout : layouts()) {
    ScratchGroup task(layout, "t");
    const auto leaf = task->create_leaf("a");
    EXPECT_EQ(run_testcase(*leaf, {"burn", "200000"}).code, 0);  // three processes, 0.2 s each
    for (const Usage& usage : {*leaf->usage(), *task->usage()}) {
      EXPECT_GE(usage.cpu_us(), 600000);
      EXPECT_LT(usage.cpu_us(), 900000);
      EXPECT_GT(usage.cpu_user_us, 200000) << "an emulated processor takes long to enter the kernel";
    }
  }
}

TEST_F(CgroupTest, WhatASamplerSaysLastIsWhatTheKernelSaysAndStands) {
  for (const CgroupLayout& layout : layouts()) {
    ScratchGroup task(layout, "t");
    auto leaf = task->create_leaf("a");
    const SampledGroup files = leaf->sampled();
    Sampler sampler(files);
    EXPECT_EQ(run_testcase(*leaf, {"burn", "100000"}).code, 0);  // three processes, one of them a daemon
    EXPECT_TRUE(eventually([&] { return *leaf->empty(); }));
    // The kernel counts a process down a moment after it has let go of its group, and on cgroup2 not before it is
    // reaped: by us, to whom the daemon has come.
    EXPECT_TRUE(eventually([&] {
      while (::waitpid(-1, nullptr, WNOHANG) > 0) {
      }
      return sampler.look(Sampler::Depth::kAll).pids == 0;
    }));
    const Usage used = sampler.last();
    const std::int64_t told = files.unified.empty()
                                  ? parse_number(*read_file(files.cpuacct + "/cpuacct.usage")) / 1000
                                  : parse_field(*read_file(files.unified + "/cpu.stat"), "usage_usec");
    ASSERT_TRUE(used.cpu_us());
    EXPECT_NEAR(*used.cpu_us(), told, 1) << "two halves, each rounded";
    const bool v1 = files.memory.version == CgroupVersion::kV1;
    const auto peak = read_file(files.memory.folder + (v1 ? "/memory.max_usage_in_bytes" : "/memory.peak"));
    if (peak) {
      EXPECT_EQ(used.memory_peak_bytes, parse_number(*peak));
    }
    EXPECT_EQ(used.pids, 0);
    EXPECT_EQ(used.processes, 0);
    EXPECT_EQ(used.throttled_periods, std::nullopt) << "a leaf has no quota";
    if (v1) {
      EXPECT_EQ(used.io_read_bytes, std::nullopt) << "a leaf has no blkio group of its own";
    }
    ASSERT_TRUE(leaf->remove());
    EXPECT_EQ(sampler.look(Sampler::Depth::kAll), used) << "a group that is gone adds nothing";
  }
}

TEST_F(CgroupTest, DescriptorsOfWhatSleepsByNowAreCounted) {
  for (const CgroupLayout& layout : layouts()) {
    ScratchGroup task(layout, "t");
    const auto leaf = task->create_leaf("a");
    const pid_t waiting = start_testcase(*leaf, {"wait"});
    Sampler sampler(leaf->sampled());
    EXPECT_TRUE(eventually([&] {
      sampler.look(Sampler::Depth::kUsual);
      return sampler.unchanged() && sampler.last().cpu_us() > 0;
    }));
    const Usage used = sampler.look(Sampler::Depth::kMembers);
    EXPECT_TRUE(sampler.unchanged());
    EXPECT_EQ(used.processes, 1);
    EXPECT_GE(used.descriptors_peak, 3);
    ASSERT_TRUE(leaf->kill_all(30000));
    EXPECT_EQ(wait_for(waiting), -SIGKILL);
  }
}

TEST_F(CgroupTest, ATasksCpuTimeOutlivesItsLeaves) {
  ScratchGroup task(layout(), "t");
  auto leaf = task->create_leaf("a");
  EXPECT_EQ(run_testcase(*leaf, {"burn", "50000"}).code, 0);
  EXPECT_TRUE(eventually([&] { return *leaf->empty(); })) << "its daemon is about to end";
  ASSERT_TRUE(leaf->remove());
  const Usage usage = *task->usage();
  EXPECT_GE(usage.cpu_us(), 150000);
}

TEST_F(CgroupTest, AForkBombIsKilled) {
  Limits limits;
  limits.pids = 200;
  for (const CgroupLayout& layout : layouts()) {
    ScratchGroup task(layout, "t", limits);
    const auto leaf = task->create_leaf("a");
    const pid_t bomb = start_testcase(*leaf, {"bomb"});
    EXPECT_TRUE(eventually([&] { return task->usage()->pids >= 150; }));
    EXPECT_FALSE(*task->empty());
    const auto killed = task->kill_all(60000);
    EXPECT_TRUE(killed) << killed.error().message();
    EXPECT_TRUE(*task->empty());
    EXPECT_TRUE(members(task->sweep_folder())->empty());
    EXPECT_EQ(wait_for(bomb), -SIGKILL);
  }
}

TEST_F(CgroupTest, KillingALeafLeavesItsNeighbour) {
  for (const CgroupLayout& layout : layouts()) {
    ScratchGroup task(layout, "t");
    const auto a = task->create_leaf("a"), b = task->create_leaf("b");
    const pid_t one = start_testcase(*a, {"wait"}), two = start_testcase(*b, {"wait"});
    EXPECT_TRUE(eventually([&] { return !*a->empty() && !*b->empty(); }));
    ASSERT_TRUE(a->kill_all(30000));
    EXPECT_EQ(wait_for(one), -SIGKILL);
    EXPECT_TRUE(*a->empty());
    EXPECT_THAT(*members(b->sweep_folder()), ElementsAre(two));
  }
}

TEST_F(CgroupTest, ASignalReachesAllAndOnlyTheMembers) {
  for (const CgroupLayout& layout : layouts()) {
    ScratchGroup task(layout, "t");
    const auto a = task->create_leaf("a"), b = task->create_leaf("b");
    const auto wait_for_signal = [](const Cgroup& group) {
      return fork_child([&] { return join(group) ? ::pause() : 121; });
    };
    const pid_t one = wait_for_signal(*a), two = wait_for_signal(*a), other = wait_for_signal(*b);
    EXPECT_TRUE(eventually([&] { return members(task->sweep_folder())->size() == 3; }));
    EXPECT_EQ(*a->signal_all(SIGTERM), 2);
    EXPECT_EQ(wait_for(one), -SIGTERM);
    EXPECT_EQ(wait_for(two), -SIGTERM);
    EXPECT_THAT(*members(task->sweep_folder()), ElementsAre(other));
    EXPECT_EQ(*task->signal_all(SIGTERM), 1);
    EXPECT_EQ(wait_for(other), -SIGTERM);
    EXPECT_EQ(*task->signal_all(SIGTERM), 0);
  }
}

TEST_F(CgroupTest, AGroupWithALivingProcessIsNotRemoved) {
  for (const CgroupLayout& layout : layouts()) {
    ScratchGroup task(layout, "t");
    auto leaf = task->create_leaf("a");
    start_testcase(*leaf, {"wait"});
    EXPECT_TRUE(eventually([&] { return !*leaf->empty(); }));
    EXPECT_EQ(leaf->remove().error().code, std::errc::device_or_resource_busy);
    EXPECT_FALSE(*leaf->empty());
  }
}

TEST_F(CgroupTest, ASecondGroupOfTheSameNameIsRefusedAndTheFirstStays) {
  ScratchGroup task(layout(), "t");
  EXPECT_EQ(Cgroup::create(layout(), "t").error().code, std::errc::file_exists);
  ASSERT_TRUE(task->create_leaf("a"));
  EXPECT_EQ(task->create_leaf("a").error().code, std::errc::file_exists);
  EXPECT_TRUE(task->find_leaf("a"));
  EXPECT_EQ(task->find_leaf("b").error().code, std::errc::no_such_file_or_directory);
  EXPECT_TRUE(Cgroup::find(layout(), "t"));
}

}  // namespace
}  // namespace dewar
