#include "thermos/usage_ring.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <map>
#include <random>

#include "base/files.h"
#include "tests/support/temp_folder.h"

namespace dewar {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const std::string kBoot = "11111111-2222-3333-4444-555555555555", kNextBoot = "66666666-2222-3333-4444-555555555555";

class HandClock final : public Clock {
 public:
  Time now() const override { return now_; }
  double wall() const override { return wall_; }
  void pass(Duration span) { now_ += span, wall_ += std::chrono::duration<double>(span).count(); }
  void reboot(Duration span) { now_ = Time(5s), wall_ += std::chrono::duration<double>(span).count(); }
  void set_wall(double wall) { wall_ = wall; }

 private:
  Time now_ = Time(1000s);
  double wall_ = 1.7e9;
};

class UsageRingTest : public ::testing::Test {
 protected:
  UsageRing open(const std::string& boot = kBoot) {
    auto ring = UsageRing::open(path(), clock_, boot);
    EXPECT_TRUE(ring) << ring.error().message();
    return std::move(ring).take();
  }
  std::string path() const { return folder_ / "task"; }
  std::vector<UsagePoint> read(const UsageRingShape& shape = kSecondRing) const {
    auto points = read_usage_ring(path(), shape);
    EXPECT_TRUE(points) << points.error().message();
    return points ? std::move(points).take() : std::vector<UsagePoint>{};
  }
  std::vector<std::uint32_t> ticks(const UsageRingShape& shape = kSecondRing) const {
    std::vector<std::uint32_t> ticks;
    for (const UsagePoint& point : read(shape)) ticks.push_back(point.tick);
    return ticks;
  }
  /// One sample, and a second later.
  void add(UsageRing& ring, std::int64_t cpu, std::int64_t memory) {
    Usage usage;
    usage.cpu_user_us = cpu;
    usage.memory_bytes = memory;
    ASSERT_TRUE(ring.add(clock_, usage));
    clock_.pass(1s);
  }

  TempFolder folder_;
  HandClock clock_;
};

TEST_F(UsageRingTest, EveryNumberComesBack) {
  UsageRing ring = open();
  Usage usage;
  for (const UsageField& field : kUsageFields) usage.*field.value = std::int64_t{1} << field.id;
  ASSERT_TRUE(ring.add(clock_, usage));
  ASSERT_EQ(read().size(), 1u);
  EXPECT_EQ(read()[0].usage, usage);
  EXPECT_EQ(read()[0].time, 1.7e9);
}

TEST_F(UsageRingTest, WhatIsUnknownStaysUnknown) {
  UsageRing ring = open();
  for (int i = 0; i < 11; ++i) {
    ASSERT_TRUE(ring.add(clock_, Usage{}));
    clock_.pass(1s);
  }
  EXPECT_EQ(read()[0].usage, Usage{});
  ASSERT_TRUE(ring.flush());
  EXPECT_EQ(read(kTenSecondRing)[0].usage, Usage{});
  EXPECT_EQ(read(kTenSecondRing)[0].memory_max, std::nullopt);
}

TEST_F(UsageRingTest, LongerSpansKeepTheLastOfCountersAndMeanLeastAndMostOfTheRest) {
  UsageRing ring = open();
  for (int i = 0; i < 80; ++i) add(ring, i * 100, i % 10 + 1);
  ASSERT_TRUE(ring.flush());
  const auto tens = read(kTenSecondRing);
  ASSERT_EQ(tens.size(), 8u);
  EXPECT_EQ(tens[0].tick, 0u);
  EXPECT_EQ(tens[0].samples, 10u);
  EXPECT_EQ(tens[0].usage.cpu_user_us, 900);
  EXPECT_EQ(tens[0].usage.memory_bytes, 5) << "the mean of 1 to 10";
  EXPECT_EQ(tens[0].memory_min, 1);
  EXPECT_EQ(tens[0].memory_max, 10);
  EXPECT_EQ(tens[1].usage.cpu_user_us, 1900);
  const auto minutes = read(kMinuteRing);
  ASSERT_EQ(minutes.size(), 2u);
  EXPECT_EQ(minutes[0].samples, 60u);
  EXPECT_EQ(minutes[1].samples, 20u);
  EXPECT_EQ(minutes[1].usage.cpu_user_us, 7900);
}

TEST_F(UsageRingTest, SamplesThatAreTheSameAreWrittenTogether) {
  UsageRing ring = open();
  add(ring, 1, 1);
  for (int i = 0; i < 5; ++i) add(ring, 1, 1);
  EXPECT_THAT(ticks(), ElementsAre(0)) << "held back";
  add(ring, 2, 1);
  EXPECT_THAT(ticks(), ElementsAre(0, 1, 2, 3, 4, 5, 6));
  EXPECT_EQ(read()[5].usage.cpu_user_us, 1);
  EXPECT_DOUBLE_EQ(read()[3].time, 1.7e9 + 3);
  EXPECT_EQ(read()[6].usage.cpu_user_us, 2);
  for (int i = 0; i < 61; ++i) add(ring, 2, 1);
  EXPECT_EQ(ticks().back(), 66u) << "once a minute at the latest";
}

/// Tens in which nothing changes are written once a minute, and are there all the same.
TEST_F(UsageRingTest, TensThatAreTheSameAreWrittenTogether) {
  const auto on_disk = [&] {
    const std::string bytes = *read_file(path());
    int slots = 0;
    for (std::uint32_t i = 0; i < kTenSecondRing.slots; ++i) {
      const std::size_t at = kTenSecondRing.offset + std::size_t{i} * kTenSecondRing.slot_size;
      if (bytes.substr(at, kTenSecondRing.slot_size).find_first_not_of('\0') != std::string::npos) ++slots;
    }
    return slots;
  };
  UsageRing ring = open();
  for (int i = 0; i < 180; ++i) add(ring, 7, 9);
  add(ring, 8, 11);
  EXPECT_EQ(on_disk(), 4) << "the first, and the last of each minute";
  EXPECT_THAT(ticks(kTenSecondRing), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17));
  const UsagePoint third = read(kTenSecondRing)[3];
  EXPECT_EQ(third.samples, 10u);
  EXPECT_EQ(third.usage.cpu_user_us, 7);
  EXPECT_EQ(third.memory_max, 9);
  EXPECT_DOUBLE_EQ(third.time, 1.7e9 + 39);
  for (int i = 0; i < 30; ++i) add(ring, 8, 11);  // the first of them in a ten that began with another number
  EXPECT_THAT(ticks(kTenSecondRing).back(), 18);
  EXPECT_EQ(read(kTenSecondRing).back().memory_min, 11);
  EXPECT_EQ(on_disk(), 5) << "19 and 20 are held";
  clock_.pass(20s);
  add(ring, 9, 12);
  add(ring, 9, 12);
  EXPECT_THAT(ticks(kTenSecondRing).back(), 21) << "the gap has none";
  ASSERT_TRUE(ring.flush());
  std::vector<std::uint32_t> all(22);
  std::ranges::generate(all, [n = 0u]() mutable { return n++; });
  all.push_back(23);
  EXPECT_EQ(ticks(kTenSecondRing), all);
  EXPECT_EQ(read(kTenSecondRing)[20].usage.cpu_user_us, 8);
}

TEST_F(UsageRingTest, TensThatAKilledWriterHeldAreCountedAgain) {
  {
    UsageRing ring = open();
    for (int i = 0; i < 118; ++i) add(ring, 7, 9);
    add(ring, 8, 9);
    EXPECT_EQ(ticks(kTenSecondRing).back(), 5u) << "6 to 10 are held";
  }
  UsageRing ring = open();
  for (int i = 0; i < 12; ++i) add(ring, 8, 9);
  EXPECT_THAT(ticks(kTenSecondRing), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12));
}

TEST_F(UsageRingTest, AGapIsAGap) {
  UsageRing ring = open();
  add(ring, 1, 1), add(ring, 1, 1);
  clock_.pass(7s);
  add(ring, 2, 1);
  EXPECT_THAT(ticks(), ElementsAre(0, 1, 9));
}

TEST_F(UsageRingTest, ASecondSampleInOneSecondReplacesTheFirst) {
  UsageRing ring = open();
  for (int i = 0; i < 3; ++i) add(ring, 1, 1);  // the last two are held back
  clock_.pass(-1s);
  add(ring, 5, 1);
  EXPECT_THAT(ticks(), ElementsAre(0, 1, 2));
  EXPECT_EQ(read()[1].usage.cpu_user_us, 1);
  EXPECT_EQ(read()[2].usage.cpu_user_us, 5);
}

TEST_F(UsageRingTest, GoesOnWhereAKilledWriterStopped) {
  {
    UsageRing ring = open();
    for (int i = 0; i < 13; ++i) add(ring, i, i + 1);
  }
  clock_.pass(4s);
  UsageRing ring = open();
  for (int i = 17; i < 20; ++i) add(ring, i, i + 1);
  ASSERT_TRUE(ring.flush());
  EXPECT_THAT(ticks(), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 17, 18, 19));
  const auto tens = read(kTenSecondRing);
  ASSERT_EQ(tens.size(), 2u);
  EXPECT_EQ(tens[0].samples, 10u);
  EXPECT_EQ(tens[1].samples, 6u) << "three before the kill, three after";
  EXPECT_EQ(tens[1].memory_min, 11);
  EXPECT_EQ(tens[1].memory_max, 20);
}

TEST_F(UsageRingTest, AfterARebootTheWallClockTellsHowMuchTimeHasPassed) {
  {
    UsageRing ring = open();
    add(ring, 1, 1);
  }
  clock_.reboot(100s);
  {
    UsageRing ring = open(kNextBoot);
    add(ring, 2, 1);
  }
  EXPECT_THAT(ticks(), ElementsAre(0, 101));
  clock_.reboot(1s);
  clock_.set_wall(1.0e9);  // the host has lost its time
  UsageRing ring = open(kBoot);
  add(ring, 3, 1);
  EXPECT_THAT(ticks(), ElementsAre(0, 101, 102));
}

TEST_F(UsageRingTest, AWallClockThatJumpsMovesNothing) {
  UsageRing ring = open();
  add(ring, 1, 1);
  clock_.set_wall(1.6e9);
  add(ring, 2, 1);
  EXPECT_THAT(ticks(), ElementsAre(0, 1));
  EXPECT_EQ(read()[1].time, 1.6e9);
}

TEST_F(UsageRingTest, ASlotThatWasTornIsUnknownAndTheRestGood) {
  UsageRing ring = open();
  for (int i = 0; i < 5; ++i) add(ring, i, 1);
  const auto file = open_file(path(), O_RDWR);
  ASSERT_TRUE(file);
  ASSERT_EQ(::pwrite(file->get(), "torn", 4, kSecondRing.offset + 2 * kSecondRing.slot_size + 100), 4);
  EXPECT_THAT(ticks(), ElementsAre(0, 1, 3, 4));
}

TEST_F(UsageRingTest, ADamagedBeginningIsSetAside) {
  { UsageRing ring = open(); }
  ASSERT_TRUE(replace_file(path(), "what is this?"));
  EXPECT_FALSE(read_usage_ring(path(), kSecondRing));
  UsageRing ring = open();
  add(ring, 1, 1);
  EXPECT_THAT(ticks(), ElementsAre(0));
  EXPECT_EQ(*read_file(path() + ".damaged"), "what is this?");
}

TEST_F(UsageRingTest, AShortRunCostsOnePageOfTheDisk) {
  UsageRing ring = open();
  for (int i = 0; i < 10; ++i) add(ring, i, 1);
  ASSERT_TRUE(ring.flush());
  struct stat info {};
  ASSERT_EQ(::stat(path().c_str(), &info), 0);
  EXPECT_EQ(info.st_size, kUsageFileSize);
  EXPECT_LE(info.st_blocks * 512, 4096);
}

TEST_F(UsageRingTest, HistoryComesFromTheFinestRingThatReachesBack) {
  UsageRing ring = open();
  for (int i = 0; i < 1205; ++i) add(ring, i, 1);
  const auto minute = read_usage_history(path(), 60s);
  ASSERT_TRUE(minute);
  EXPECT_EQ(minute->seconds, 1u);
  EXPECT_EQ(minute->points.size(), 60u);
  EXPECT_EQ(minute->points.back().usage.cpu_user_us, 1204);
  const auto quarter = read_usage_history(path(), 15min);
  ASSERT_TRUE(quarter);
  EXPECT_EQ(quarter->seconds, 10u);
  EXPECT_EQ(quarter->points.size(), 90u);
  EXPECT_EQ(quarter->points.back().usage.cpu_user_us, 1204) << "the span that is not over comes from the seconds";
  const auto week = read_usage_history(path(), 24h * 7);
  ASSERT_TRUE(week);
  EXPECT_EQ(week->seconds, 60u);
  EXPECT_EQ(week->points.size(), 21u);
}

/// Whatever is sampled, and however often the writer is killed: every second that was sampled and told is there with
/// its own numbers, at most the last minute of idleness is missing, and no second is made up.
TEST_F(UsageRingTest, AgreesWithASimpleModel) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const auto up_to = [&](int most) { return std::uniform_int_distribution(0, most)(random); };
    ::unlink(path().c_str());
    std::map<std::uint32_t, std::int64_t> model;
    std::uint32_t tick = 0;
    std::int64_t cpu = 0;
    std::optional<UsageRing> ring;
    for (int step = 0; step < 3000; ++step) {
      const int what = up_to(199);
      if (what == 0) ring.reset();  // killed: what it held back is lost
      if (what == 1) {
        const int gap = up_to(700);
        tick += static_cast<std::uint32_t>(gap);
        clock_.pass(std::chrono::seconds(gap));
      }
      if (what == 2 && ring) {
        ASSERT_TRUE(ring->flush());
      }
      if (!ring) ring = open();
      if (model.empty()) tick = 0;
      if (up_to(3) == 0) cpu += 1 + up_to(1000);
      Usage usage;
      usage.cpu_user_us = cpu;
      ASSERT_TRUE(ring->add(clock_, usage));
      model[tick] = cpu;
      clock_.pass(1s), ++tick;
    }
    ASSERT_TRUE(ring->flush());
    ring.reset();
    std::map<std::uint32_t, std::int64_t> told;
    for (const UsagePoint& point : read()) told[point.tick] = *point.usage.cpu_user_us;
    ASSERT_EQ(told.rbegin()->first, model.rbegin()->first);
    for (const auto& [at, value] : told) {
      const auto known = model.find(at);
      ASSERT_NE(known, model.end()) << "second " << at << " was never sampled";
      ASSERT_EQ(known->second, value) << "second " << at;
    }
    std::size_t missing = 0;
    for (const auto& [at, value] : model) missing += told.rbegin()->first - at < 600 && !told.contains(at) ? 1 : 0;
    EXPECT_LE(missing, 600u * 5 / 100) << "only what killed writers held back";
    for (const UsagePoint& point : read(kTenSecondRing)) {
      std::int64_t last = -1;
      for (std::uint32_t at = point.tick * 10; at < point.tick * 10 + 10; ++at)
        if (model.contains(at)) last = model[at];
      EXPECT_LE(*point.usage.cpu_user_us, last);
    }
  }
}

/// The real thing: a writer that is killed somewhere in its work, again and again.
TEST_F(UsageRingTest, AWriterKilledAtAnyMomentLeavesOnlyGoodSlots) {
  for (int round = 0; round < 20; ++round) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      auto ring = UsageRing::open(path(), clock_, kBoot);
      if (!ring) ::_exit(1);
      (void)!::write(ends[1], "x", 1);
      for (std::int64_t i = 0;; ++i) {
        Usage usage;
        usage.cpu_user_us = usage.cpu_system_us = i;
        (void)ring->add(clock_, usage);
        clock_.pass(1s);
      }
    }
    char ready = 0;
    ASSERT_EQ(::read(ends[0], &ready, 1), 1);
    ::kill(child, SIGKILL);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    ::close(ends[0]), ::close(ends[1]);
    for (const UsagePoint& point : read()) EXPECT_EQ(point.usage.cpu_user_us, point.usage.cpu_system_us);
    clock_.pass(1000000s);
  }
}

}  // namespace
}  // namespace dewar
