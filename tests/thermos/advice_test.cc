#include "thermos/advice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dewar {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::int64_t kMiB = 1 << 20, kSecond = 1000000;

/// A task that fits its limits, for 100 s.
Lived fitting() {
  Lived lived;
  lived.wall_seconds = 100;
  lived.limits.memory = 128 * kMiB;
  lived.limits.cpu = 1;
  lived.limits.pids = 50;
  lived.disk.bytes = 64 * kMiB;
  lived.descriptors = 1024;
  Usage& usage = lived.usage;
  usage.cpu_user_us = 50 * kSecond, usage.cpu_system_us = 10 * kSecond;
  usage.memory_peak_bytes = 90 * kMiB;
  usage.oom_kills = usage.forks_refused = usage.throttled_periods = 0;
  usage.disk_bytes = 30 * kMiB;
  usage.descriptors_peak = 20;
  usage.cpu_some_us = usage.memory_some_us = usage.io_full_us = 0;
  return lived;
}

std::vector<std::string> words(const Lived& lived) {
  std::vector<std::string> all;
  for (const Advice& advice : advise(lived)) all.push_back(advice.words);
  return all;
}

TEST(Advice, IsNotGivenToWhoFits) { EXPECT_THAT(words(fitting()), IsEmpty()); }

TEST(Advice, IsNotGivenWhereNothingIsKnown) {
  Lived lived = fitting();
  lived.usage = {};
  EXPECT_THAT(words(lived), IsEmpty());
}

TEST(Advice, MemoryThatNobodyNeeded) {
  Lived lived = fitting();
  lived.limits.memory = 4096u * kMiB;
  lived.usage.memory_peak_bytes = 310 * kMiB;
  EXPECT_THAT(words(lived), ElementsAre("ram 4.0 GB asked, 310.0 MB peak: 480.0 MB would do"));
  EXPECT_FALSE(advise(lived)[0].tight);
  lived.wall_seconds = 5;
  EXPECT_THAT(words(lived), IsEmpty()) << "too short a life to tell";
  lived.wall_seconds = 100, lived.asked = false;
  EXPECT_THAT(words(lived), IsEmpty()) << "the limit is the host's own idea";
  lived = fitting();
  lived.limits.memory = 16 * kMiB;
  lived.usage.memory_peak_bytes = kMiB;
  EXPECT_THAT(words(lived), IsEmpty()) << "too little to care";
}

TEST(Advice, MemoryThatWasNotEnough) {
  Lived lived = fitting();
  lived.usage.oom_kills = 2;
  lived.usage.memory_peak_bytes = 128 * kMiB;
  lived.usage.memory_some_us = 20 * kSecond;
  lived.wall_seconds = 1;
  EXPECT_THAT(words(lived),
              ElementsAre("ram 128.0 MB was not enough, and the kernel killed 2 processes: try 192.0 MB"));
  EXPECT_TRUE(advise(lived)[0].tight);
}

TEST(Advice, MemoryFullOfPageCacheIsTightOnlyIfSomebodyWaits) {
  Lived lived = fitting();
  lived.usage.memory_peak_bytes = 128 * kMiB;
  EXPECT_THAT(words(lived), IsEmpty());
  lived.usage.memory_some_us = 20 * kSecond;
  EXPECT_THAT(words(lived),
              ElementsAre("ram 128.0 MB was full, and something waited for memory 20 % of the time: try 192.0 MB"));
}

TEST(Advice, AQuotaThatHoldsBack) {
  Lived lived = fitting();
  lived.limits.cpu_quota = 0.5;
  lived.usage.throttled_periods = 800;
  lived.usage.cpu_some_us = 90 * kSecond;
  EXPECT_THAT(words(lived), ElementsAre("cpu_quota 0.5 held it back 80 % of the time: raise it, or leave it out"))
      << "the quota explains the waiting";
}

TEST(Advice, ProcessorsThatNobodyNeededAndThatWereNotToBeHad) {
  Lived lived = fitting();
  lived.limits.cpu = 4;
  EXPECT_THAT(words(lived), ElementsAre("cpu 4 asked, 0.6 used on average"));
  lived = fitting();
  lived.usage.cpu_some_us = 60 * kSecond;
  EXPECT_THAT(words(lived),
              ElementsAre("something waited for a processor 60 % of the time: the host was busy; a larger "
                          "cpu gets a larger share"));
}

TEST(Advice, PidsDiskDescriptorsAndSlowDisks) {
  Lived lived = fitting();
  lived.usage.forks_refused = 1;
  EXPECT_THAT(words(lived), ElementsAre("pids 50 were used up, and 1 fork was refused: try 75"));
  lived = fitting();
  lived.usage.disk_bytes = 63 * kMiB;
  EXPECT_THAT(words(lived), ElementsAre("disk 64.0 MB is full with 63.0 MB: try 96.0 MB"));
  lived = fitting();
  lived.usage.descriptors_peak = 1020;
  EXPECT_THAT(words(lived), ElementsAre("nofile 1024: a process held 1020 descriptors open: raise it"));
  lived = fitting();
  lived.usage.io_full_us = 40 * kSecond;
  EXPECT_THAT(words(lived), ElementsAre("everything waited for a disk 40 % of the time"));
}

TEST(Advice, WhatHurtComesFirst) {
  Lived lived = fitting();
  lived.limits.cpu = 8;
  lived.usage.forks_refused = 3;
  const auto all = advise(lived);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_TRUE(all[0].tight);
  EXPECT_FALSE(all[1].tight);
}

}  // namespace
}  // namespace dewar
