// Paths inside a root whose owner works against us.
#include "isolation/launch/inside.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <thread>

#include "base/files.h"
#include "tests/support/temp_folder.h"

namespace dewar {
namespace {

using ::testing::IsEmpty;

class InsideTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"root", "canary"}) ASSERT_TRUE(make_dirs(folder_ / name));
    root_ = *open_file(folder_ / "root", O_PATH | O_DIRECTORY);
  }
  void TearDown() override { EXPECT_THAT(*list_dir(folder_ / "canary"), IsEmpty()); }
  void link(const std::string& to, const std::string& at) {
    ASSERT_EQ(::symlinkat(to.c_str(), root_.get(), at.c_str()), 0) << at;
  }
  std::string in_root(const std::string& path) const { return folder_ / ("root" + path); }

  TempFolder folder_;
  UniqueFd root_;
};

TEST_F(InsideTest, LinksAreFollowedInsideOnly) {
  ASSERT_TRUE(make_dirs(in_root("/usr/bin")));
  link("usr/bin", "bin");
  link("../../../../../../usr", "up");
  link(folder_ / "canary", "out");
  link("/proc/self/root", "magic");
  EXPECT_TRUE(make_folder(root_.get(), "/bin/new"));
  EXPECT_TRUE(exists(in_root("/usr/bin/new")));
  EXPECT_TRUE(make_folder(root_.get(), "/up/other"));
  EXPECT_TRUE(exists(in_root("/usr/other")));
  EXPECT_FALSE(make_folder(root_.get(), "/out/x"));
  EXPECT_FALSE(make_folder(root_.get(), "/magic/x"));
  EXPECT_TRUE(make_folder(root_.get(), "/../../a/b"));
  EXPECT_TRUE(exists(in_root("/a/b")));
}

TEST_F(InsideTest, AMountPointIsNeverALink) {
  link("/", "dev");
  link(folder_ / "canary", "etc");
  ASSERT_TRUE(replace_file(in_root("/proc"), "a file"));
  for (const std::string name : {"/dev", "/proc"}) {
    const UniqueFd made = make_mount_point(place_of(root_.get(), name), true);
    ASSERT_TRUE(made) << name;
    EXPECT_TRUE(is_folder(made.get()));
    struct stat info {};
    ASSERT_EQ(::lstat(in_root(name).c_str(), &info), 0);
    EXPECT_TRUE(S_ISDIR(info.st_mode)) << name;
  }
  link(folder_ / "canary/file", "resolv.conf");
  EXPECT_TRUE(make_mount_point(place_of(root_.get(), "/resolv.conf"), false));
  EXPECT_FALSE(make_mount_point(place_of(root_.get(), "/etc/resolv.conf"), false));
  EXPECT_FALSE(make_mount_point(place_of(root_.get(), "/dev/.."), true));
  EXPECT_FALSE(make_mount_point(place_of(root_.get(), "/dev"), false)) << "a folder is not replaced by a file";
}

/// A folder and a link that points out of the root change places as fast as they can, while mount points are made
/// through and at that name.
// covers: S4
TEST_F(InsideTest, RacingRenamesLeadNowhere) {
  constexpr int kRounds = 100'000;
  ASSERT_TRUE(make_dirs(in_root("/a")));
  link(folder_ / "canary", "b");
  std::jthread racer([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) ::syscall(SYS_renameat2, root_.get(), "a", root_.get(), "b", RENAME_EXCHANGE);
  });
  int made = 0;
  struct stat canary {};
  ASSERT_EQ(::stat((folder_ / "canary").c_str(), &canary), 0);
  for (int round = 0; round < kRounds; ++round) {
    const std::string name = "/a/" + std::to_string(round % 16);
    const UniqueFd folder = make_mount_point(place_of(root_.get(), name), round % 2 == 0);
    made += static_cast<bool>(folder);
    if (const UniqueFd opened = open_inside(root_.get(), "/a", O_PATH | O_DIRECTORY)) {
      struct stat info {};
      ASSERT_EQ(::fstat(opened.get(), &info), 0);
      ASSERT_NE(info.st_ino, canary.st_ino) << "in round " << round;
    }
    if (round % 1000 == 999) {
      for (int i = 0; i < 16; ++i) {
        for (const char* side : {"a/", "b/"}) {
          const std::string old = side + std::to_string(i);
          if (::unlinkat(root_.get(), old.c_str(), 0) != 0) ::unlinkat(root_.get(), old.c_str(), AT_REMOVEDIR);
        }
      }
    }
  }
  EXPECT_GT(made, 0);
}

}  // namespace
}  // namespace dewar
