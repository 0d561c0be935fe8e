// What the disk gives to each: rates that hold, and shares by weight.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>

#include "base/files.h"
#include "isolation/cgroup/disk.h"
#include "tests/isolation/kernel_fixture.h"
#include "tests/support/loop_device.h"
#include "tests/support/temp_folder.h"

namespace dewar {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kMiB = 1u << 20;

class IoLimitsTest : public KernelTest {
 protected:
  void SetUp() override {
    KernelTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    if (std::ranges::find(layout().v2, "io") == layout().v2.end() && !layout().v1.contains("blkio"))
      GTEST_SKIP() << "no controller io here";
  }

  TempFolder folder_;
};

/// A MiB a second, in pieces of 64 KiB.
constexpr std::uint64_t kBytes = kMiB, kPieces = 16;
/// The least that two MiB must take then: the kernel lets a slice of 100 ms through at once.
constexpr int kSlowMs = 1500;

// covers: limit io.max
TEST_F(IoLimitsTest, PastEachRateReadsAndWritesWait) {
  const auto disk = disk_below(folder_.path());
  if (!disk) GTEST_SKIP() << "no disk below the temporary folder";
  ASSERT_EQ(::chdir(folder_.path().c_str()), 0);
  const std::string little = std::to_string(2 * kMiB), much = std::to_string(16 * kMiB);
  struct Rate {
    std::uint64_t IoLimits::*limit;
    std::uint64_t value;
    const char* act;
  };
  for (const Rate& rate : {Rate{&IoLimits::write_bps, kBytes, "write"},
                           {&IoLimits::write_iops, kPieces, "write"},
                           {&IoLimits::read_bps, kBytes, "read"},
                           {&IoLimits::read_iops, kPieces, "read"}}) {
    Limits limits;
    limits.io.device = *disk;
    ScratchGroup task(layout(), "t");
    const auto leaf = task->create_leaf("a");
    EXPECT_EQ(run_testcase(*leaf, {"write", much}).code, 0);
    limits.io.*rate.limit = rate.value;
    ASSERT_TRUE(task->set(limits));
    EXPECT_EQ(task->limits()->io.*rate.limit, rate.value);
    EXPECT_EQ(task->limits()->io.device, *disk);
    const Ended slow = run_testcase(*leaf, {rate.act, little});
    ASSERT_EQ(slow.code, 0);
    EXPECT_GE(std::stoi(slow.output), kSlowMs) << rate.act << " " << rate.value;
    limits.io.*rate.limit = 0;
    ASSERT_TRUE(task->set(limits));
    EXPECT_EQ(task->limits()->io.*rate.limit, 0u);
    EXPECT_EQ(run_testcase(*leaf, {rate.act, little}).code, 0);
  }
  ASSERT_EQ(::chdir("/"), 0);
}

TEST_F(IoLimitsTest, AnIoWeightIsSetOrRefusedInWords) {
  ScratchGroup task(layout(), "t");
  Limits limits;
  limits.io.weight = 250;
  const auto set = task->set(limits);
  if (set) {
    EXPECT_EQ(task->limits()->io.weight, 250u);
    // On cgroup2 for both that go by weights; BFQ's is a module, whose file comes with it.
    const std::string bfq = pure_v2() ? task->unified() + "/io.bfq.weight" : "";
    if (exists(bfq)) {
      EXPECT_EQ(*read_file(bfq), "default 250\n");
    }
  } else {
    EXPECT_THAT(set.error().message(), HasSubstr("weighing io (the disk's scheduler knows no weights: choose 'bfq'"));
  }
}

/// Hands a disk to BFQ, the scheduler that goes by weights, and back to the one it had.
class WeighedDisk {
 public:
  explicit WeighedDisk(const std::string& device) : queue_("/sys/block/" + device.substr(5) + "/queue/") {
    const auto text = read_file(queue_ + "scheduler");  // "none mq-deadline [bfq]"
    if (!text) return;
    const std::size_t open = text->find('[') + 1;
    before_ = text->substr(open, text->find(']') - open);
    // No favours for who has just begun; and whose turn it is keeps it while its next request is at most 100 ms away: a
    // busy machine, or an emulated one, needs longer for that than the usual 8 ms.
    works_ = write("scheduler", "bfq") && write("iosched/low_latency", "0") &&
             write("iosched/strict_guarantees", "1") && write("iosched/slice_idle", "100");
  }
  WeighedDisk(const WeighedDisk&) = delete;
  WeighedDisk& operator=(const WeighedDisk&) = delete;
  ~WeighedDisk() { write("scheduler", before_); }

  bool works() const { return works_; }

 private:
  bool write(const std::string& file, const std::string& text) const {
    const auto fd = open_file(queue_ + file, O_WRONLY);
    return fd && write_all(fd->get(), text, file);
  }

  std::string queue_, before_;
  bool works_ = false;
};

// covers: limit io.weight
TEST_F(IoLimitsTest, ABusyDiskIsSharedByWeight) {
  const std::string file = folder_ / "disk-image";
  ASSERT_TRUE(replace_file(file, ""));
  ASSERT_EQ(::truncate(file.c_str(), 64 * kMiB), 0);
  const LoopDevice disk(file);
  if (disk.path().empty()) GTEST_SKIP() << "no loop device is to be had here";
  const WeighedDisk weighed(disk.path());  // before the groups: on cgroup2 their files come with the scheduler
  if (!weighed.works()) GTEST_SKIP() << "this kernel has no scheduler bfq";
  Limits little, much;
  little.io.weight = 100;
  much.io.weight = 1000;
  ScratchGroup small(layout(), "small", little), big(layout(), "big", much);
  for (const char* counter : {"small", "big"}) ASSERT_TRUE(replace_file(folder_ / counter, std::string(8, '\0')));
  start_testcase(*small->create_leaf("a"), {"compete", disk.path(), folder_ / "small"});
  start_testcase(*big->create_leaf("a"), {"compete", disk.path(), folder_ / "big"});
  const auto reads = [&](const std::string& counter) {
    std::uint64_t number = 0;
    std::memcpy(&number, read_file(folder_ / counter)->data(), sizeof number);
    return number;
  };
  // Only from now on do both compete.
  EXPECT_TRUE(eventually([&] { return reads("small") > 0 && reads("big") > 0; }));
  const std::uint64_t small_before = reads("small"), big_before = reads("big");
  EXPECT_TRUE(eventually([&] { return reads("big") - big_before > 3000; }));
  const std::uint64_t small_reads = reads("small") - small_before, big_reads = reads("big") - big_before;
  RecordProperty("small_reads", static_cast<int>(small_reads));
  EXPECT_LT(small_reads * 3, big_reads) << "a tenth of the weight";
}

}  // namespace
}  // namespace dewar
