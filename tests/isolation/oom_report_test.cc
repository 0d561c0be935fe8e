#include "isolation/cgroup/oom_report.h"

#include <gtest/gtest.h>

namespace dewar {
namespace {

constexpr std::uint64_t kPage = 4096;

// As Linux 6.18 writes it (v1), shortened.
constexpr char kLog[] =
    "python3 invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0\n"
    "memory: usage 65536kB, limit 65536kB, failcnt 21\n"
    "Tasks state (memory values in pages):\n"
    "[  pid  ]   uid  tgid total_vm      rss rss_anon rss_file rss_shmem pgtables_bytes swapents oom_score_adj name\n"
    "[  12230]     0 12230      370      178        0      178         0    36864        0             0 dewar-init\n"
    "[  12232] 65534 12232    65806    16451    16288      163         0   167936        0             0 my hog\n"
    "[  12233] 65534 12233      900      300      100      200         0   167936        0             0 bash\n"
    "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/dewar/abc,"
    "task_memcg=/dewar/abc/hog.0,task=my hog,pid=12232,uid=65534\n"
    "Memory cgroup out of memory: Killed process 12232 (my hog) total-vm:263224kB, anon-rss:65152kB\n";

TEST(OomReport, NamesTheVictimAndTheBiggest) {
  const auto report = find_oom_report(kLog, "abc", kPage);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->level, OomLevel::kTask);
  EXPECT_EQ(report->victim.pid, 12232);
  EXPECT_EQ(report->victim.name, "my hog");
  EXPECT_EQ(report->victim.bytes, 16451 * kPage);
  EXPECT_EQ(report->victim_group, "/dewar/abc/hog.0");
  ASSERT_EQ(report->biggest.size(), 3u);
  EXPECT_EQ(report->biggest[0].name, "my hog");
  EXPECT_EQ(report->biggest[1].name, "bash");
  EXPECT_EQ(report->biggest[1].bytes, 300 * kPage);
  EXPECT_EQ(report->biggest[2].name, "dewar-init");
}

TEST(OomReport, OfLinux61HasOtherColumns) {
  const auto report = find_oom_report(
      "Tasks state (memory values in pages):\n"
      "[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name\n"
      "[   5044]     0  5044    65806    16451   167936        0             0 hog\n"
      "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=hog.0,mems_allowed=0,oom_memcg=/dewar/abc,"
      "task_memcg=/dewar/abc/hog.0,task=hog,pid=5044,uid=0\n",
      "abc", kPage);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->victim.bytes, 16451 * kPage);
}

TEST(OomReport, AnotherGroupsIsNotOurs) {
  EXPECT_FALSE(find_oom_report(kLog, "ab", kPage)) << "a part of a name is not the name";
  EXPECT_FALSE(find_oom_report(kLog, "other", kPage));
  EXPECT_FALSE(find_oom_report("", "abc", kPage));
}

TEST(OomReport, OfTheHostSaysSo) {
  const auto report = find_oom_report(
      "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,"
      "task_memcg=/dewar/abc/hog.0,task=hog,pid=7,uid=0\n",
      "abc", kPage);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->level, OomLevel::kHost);
  EXPECT_EQ(report->victim.bytes, 0u) << "there was no table";
}

TEST(OomReport, TellsWhoseLimitItWas) {
  const auto level = [](const std::string& limit_group) {
    const auto report =
        find_oom_report("oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,oom_memcg=" + limit_group +
                            ",task_memcg=/dewar/abc/web.0,task=web,pid=9,uid=0\n",
                        "abc", kPage);
    return report ? report->level : OomLevel::kHost;
  };
  EXPECT_EQ(level("/dewar/abc"), OomLevel::kTask);
  EXPECT_EQ(level("/dewar/abc/web.0"), OomLevel::kRun);
  EXPECT_EQ(level("/dewar"), OomLevel::kAbove);
}

TEST(OomReport, TheLastOneCountsAndTakesNoOthersTable) {
  const std::string log = std::string(kLog) +
                          "oom-kill:constraint=CONSTRAINT_MEMCG,oom_memcg=/dewar/abc,task_memcg=/dewar/abc/web.1,"
                          "task=web,pid=9,uid=0\n";
  const auto report = find_oom_report(log, "abc", kPage);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->victim.pid, 9);
  EXPECT_TRUE(report->biggest.empty());
}

TEST(OomReport, AProcessesNameCannotLie) {
  const auto report = find_oom_report(
      "Tasks state (memory values in pages):\n"
      "[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name\n"
      "[     77]     0    77      100       10   167936        0             0 [  1] 1 1 1 9\n"
      "oom-kill:constraint=CONSTRAINT_MEMCG,oom_memcg=/dewar/abc,task_memcg=/dewar/abc/hog.0,"
      "task=x,pid=1,uid=0,pid=77,uid=0\n",
      "abc", kPage);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->victim.pid, 77);
  EXPECT_EQ(report->victim.name, "x,pid=1,uid=0");
  ASSERT_EQ(report->biggest.size(), 1u);
  EXPECT_EQ(report->biggest[0].name, "[  1] 1 1 1 9");
}

TEST(OomReport, DamagedLinesAreLeftOut) {
  for (const char* line :
       {"[", "[]", "[ 1 ]", "[  pid  ]", "oom-kill:", "oom-kill:,oom_memcg=/abc", "[ 99999999999 ] 1",
        "oom-kill:,oom_memcg=/abc,pid=1,task=x", "Tasks state (memory values in pages):"})
    EXPECT_FALSE(find_oom_report(std::string(line) + "\n" + line, "abc", kPage)) << line;
}

}  // namespace
}  // namespace dewar
