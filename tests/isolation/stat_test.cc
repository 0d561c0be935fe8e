#include "isolation/cgroup/stat.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/cgroup_members.h"

namespace dewar {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(CgroupStat, ReadsNumbers) {
  EXPECT_EQ(parse_number("4096\n"), 4096);
  EXPECT_EQ(parse_number("-1\n"), -1);
  EXPECT_EQ(parse_number(""), 0);
  EXPECT_EQ(parse_number("max\n"), 0);
}

TEST(CgroupStat, EveryWordForNoLimitIsZero) {
  EXPECT_EQ(parse_limit("max\n"), 0u);
  EXPECT_EQ(parse_limit("-1\n"), 0u);
  EXPECT_EQ(parse_limit("9223372036854771712\n"), 0u);
  EXPECT_EQ(parse_limit("1073741824\n"), 1073741824u);
}

TEST(CgroupStat, ReadsAFieldByItsWholeName) {
  constexpr char kEvents[] = "low 0\nhigh 0\nmax 17\noom 2\noom_kill 1\noom_group_kill 9\n";
  EXPECT_EQ(parse_field(kEvents, "oom_kill"), 1);
  EXPECT_EQ(parse_field(kEvents, "oom"), 2);
  EXPECT_EQ(parse_field(kEvents, "kill"), 0);
  EXPECT_EQ(parse_field("oom_kill_disable 0\nunder_oom 0\noom_kill 3", "oom_kill"), 3);
}

TEST(CgroupStat, V1CpuTimeIsTheExactSumInTheProportionOfTheTicks) {
  const CpuTime time = split_cpu_time(2000000, 150, 50);
  EXPECT_EQ(time.user_us, 1500000);
  EXPECT_EQ(time.system_us, 500000);
}

TEST(CgroupStat, V1CpuTimeBelowATickCountsAsTheUsers) {
  const CpuTime time = split_cpu_time(1234, 0, 0);
  EXPECT_EQ(time.user_us, 1234);
  EXPECT_EQ(time.system_us, 0);
}

TEST(CgroupMembers, ListsPidsButNotThoseOfOtherNamespaces) {
  EXPECT_THAT(parse_pids("12\n7\n0\n4194304\n"), ElementsAre(12, 7, 4194304));
  EXPECT_THAT(parse_pids("12"), ElementsAre(12));
  EXPECT_THAT(parse_pids(""), IsEmpty());
  EXPECT_THAT(parse_pids("x\n-4\n\n5x6\n99999999999999\n"), ElementsAre(5, 6)) << "what is no pid is passed over";
}

}  // namespace
}  // namespace dewar
