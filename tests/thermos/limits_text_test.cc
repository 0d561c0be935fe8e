#include "thermos/limits_text.h"

#include <gtest/gtest.h>

#include "base/files.h"
#include "tests/support/temp_folder.h"

namespace dewar {
namespace {

Limits some() {
  Limits limits;
  limits.cpu = 1.5, limits.cpu_quota = 0.25, limits.cpuset = "0-3,8";
  limits.memory = 64u << 20, limits.memory_soft = 32u << 20, limits.swap = 1, limits.pids = 100;
  limits.hugetlb = {{"1GB", 1u << 30}, {"2MB", 4u << 20}};
  limits.io = {200, 1, 2, 3, 4, "8:0"};
  return limits;
}

constexpr char kText[] =
    "cpu=1.5 cpu_quota=0.25 cpuset=0-3,8 memory=67108864 memory_soft=33554432 swap=1 pids=100 hugetlb.1GB=1073741824 "
    "hugetlb.2MB=4194304 io.weight=200 io.read_bps=1 io.write_bps=2 io.read_iops=3 io.write_iops=4 io.device=8:0";

TEST(LimitsText, SpellsAndReadsEveryLimit) {
  EXPECT_EQ(limits_text(some()), kText);
  Limits back;
  ASSERT_TRUE(read_limits_text(kText, back));
  EXPECT_EQ(limits_text(back), kText);
  ASSERT_TRUE(read_limits_text(limits_text({}), back)) << "an empty value is none";
  EXPECT_EQ(back.cpuset, "");
  EXPECT_EQ(back.memory, 0u);
}

TEST(LimitsText, ChangesOnlyWhatItNames) {
  Limits limits = some();
  ASSERT_TRUE(read_limits_text("memory=1048576  pids=0", limits));
  EXPECT_EQ(limits.memory, 1u << 20);
  EXPECT_EQ(limits.pids, 0u);
  EXPECT_EQ(limits.cpu, 1.5);
}

TEST(LimitsText, RefusesInWordsAndThenChangesNothing) {
  Limits limits = some();
  EXPECT_EQ(read_limits_text("cpu=2 ram=1", limits).error().message(), "there is no limit 'ram'");
  EXPECT_EQ(read_limits_text("cpu=2 pids=-1", limits).error().message(), "'-1' is no limit for 'pids'");
  for (const char* bad : {"cpu",
                          "cpu=",
                          "cpu=x",
                          "cpu=nan",
                          "cpu=inf",
                          "cpu=-1",
                          "cpu=1e9",
                          "memory=1MB",
                          "memory=9223372036854775808",
                          "pids=9999999999",
                          "pids=1 1",
                          "cpuset=3-1",
                          "io.weight=10001",
                          "io.device=sda",
                          "io.device=8:",
                          "hugetlb.=1",
                          "hugetlb.../x=1",
                          "hugetlb.2MB=",
                          "=1",
                          "=",
                          "io.read_bps=1.5"})
    EXPECT_FALSE(read_limits_text(std::string("cpu=2 ") + bad, limits)) << bad;
  EXPECT_EQ(limits_text(limits), kText);
}

TEST(LimitsText, AFileIsReadAsItWasWrittenOrRefused) {
  const TempFolder folder;
  EXPECT_EQ(read_limits(folder.path()).error().code, std::errc::no_such_file_or_directory);
  ASSERT_TRUE(write_limits(folder.path(), some()));
  EXPECT_EQ(limits_text(*read_limits(folder.path())), kText);
  ASSERT_TRUE(replace_file(folder / "limits", "cpu=1"));
  EXPECT_FALSE(read_limits(folder.path())) << "cut off";
  ASSERT_TRUE(replace_file(folder / "limits", "nonsense\n"));
  EXPECT_FALSE(read_limits(folder.path()));
}

}  // namespace
}  // namespace dewar
