#include "isolation/cgroup/mounts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dewar {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

TEST(CgroupMounts, AreReadFromMountinfo) {
  const auto mounts = parse_cgroup_mounts(
      "10 31 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
      "11 10 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
      "12 10 0:30 /docker/7 /mnt/two\\040words rw shared:1 master:2 - cgroup2 cgroup2 rw,nsdelegate\n");
  ASSERT_EQ(mounts.size(), 2u);
  EXPECT_EQ(mounts[0].folder, "/sys/fs/cgroup/cpu,cpuacct");
  EXPECT_FALSE(mounts[0].v2);
  EXPECT_THAT(mounts[0].options, ElementsAre("rw", "cpu", "cpuacct"));
  EXPECT_EQ(mounts[1].folder, "/mnt/two words");
  EXPECT_EQ(mounts[1].root, "/docker/7");
  EXPECT_TRUE(mounts[1].v2);
}

TEST(CgroupMounts, LinesThatMakeNoSenseAreLeftOut) {
  for (const char* text : {"", "\n\n", "cgroup2", "1 2 3 4 5 6 7 8 9", "1 2 0:1 / /x rw - cgroup2",
                           "1 2 0:1 / /x rw shared:1 cgroup2 cgroup2 rw", " - cgroup2 x rw"})
    EXPECT_THAT(parse_cgroup_mounts(text), IsEmpty()) << text;
}

TEST(CgroupMounts, OwnGroupsAreReadPerController) {
  EXPECT_THAT(
      parse_own_groups("9:name=systemd:/a\n2:cpu,cpuacct:/b:c\n0::/d\n"),
      UnorderedElementsAre(Pair("name=systemd", "/a"), Pair("cpu", "/b:c"), Pair("cpuacct", "/b:c"), Pair("", "/d")));
  for (const char* text : {"", "nonsense", "1:cpu", "1:cpu:", ":\n"}) EXPECT_THAT(parse_own_groups(text), IsEmpty());
}

TEST(CgroupMounts, APathIsSeenBelowTheMountsRoot) {
  const CgroupMount whole{"/sys/fs/cgroup", "/", true, {}}, part{"/sys/fs/cgroup", "/docker/7", true, {}};
  EXPECT_EQ(path_below(whole, "/a/b"), "/a/b");
  EXPECT_EQ(path_below(whole, "/"), "");
  EXPECT_EQ(path_below(part, "/docker/7/a"), "/a");
  EXPECT_EQ(path_below(part, "/docker/7"), "");
  EXPECT_EQ(path_below(part, "/docker/77"), "") << "a neighbour's";
}

}  // namespace
}  // namespace dewar
