// Where files go: file systems that are full, and one that shares blocks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cstdlib>

#include "base/digest.h"
#include "base/files.h"
#include "tests/fetcher/fetch_rig.h"
#include "tests/support/own_mounts.h"
#include "tests/support/tar.h"

namespace dewar {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class PlaceTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root, to mount";
    take_own_mounts();
  }
  void TearDown() override {
    for (auto at = mounted_.rbegin(); at != mounted_.rend(); ++at) EXPECT_EQ(::umount2(at->c_str(), 0), 0) << *at;
  }
  void mount_small(const std::string& folder, const std::string& options) {
    ASSERT_TRUE(make_dirs(folder, 0700));
    ASSERT_EQ(::mount("tmpfs", folder.c_str(), "tmpfs", 0, options.c_str()), 0);
    mounted_.push_back(folder);
  }
  static std::uint64_t used(const std::string& folder) {
    struct statvfs info {};
    EXPECT_EQ(::statvfs(folder.c_str(), &info), 0);
    return (info.f_blocks - info.f_bfree) * info.f_frsize;
  }
  /// An error that names space; afterwards the sandbox is as it was.
  void expect_no_space(const FetchOutcome& outcome, std::uint64_t used_before) {
    EXPECT_EQ(outcome.exit, 1);
    EXPECT_THAT(outcome.err, AnyOf(HasSubstr("no space: it is"), HasSubstr("No space left on device")));
    EXPECT_EQ(outcome.status.stage, FetchStage::kFailed);
    EXPECT_THAT(rig_.names(), IsEmpty());
    EXPECT_EQ(used(rig_.sandbox()), used_before);
  }

  const OddServer server_;
  FetchRig rig_;
  std::vector<std::string> mounted_;
};

class FullSandboxTest : public PlaceTest {
 protected:
  void SetUp() override {
    PlaceTest::SetUp();
    if (!IsSkipped()) mount_small(rig_.sandbox(), "size=160k,mode=0700,uid=65534,gid=65534");
  }
};

TEST_F(FullSandboxTest, WhatIsAnnouncedTooBigIsNotBegun) {
  const std::uint64_t before = used(rig_.sandbox());
  const FetchOutcome outcome = rig_.fetch(server_.uri("ok/a"));
  expect_no_space(outcome, before);
  EXPECT_THAT(outcome.err, HasSubstr("no space: it is 293.0 KB, and 160.0 KB are free"));
  EXPECT_EQ(server_.log().size(), 1u) << "another try would not help";
}

TEST_F(FullSandboxTest, WhatIsNotAnnouncedEndsWhenItIsFull) {
  const std::uint64_t before = used(rig_.sandbox());
  const FetchOutcome outcome = rig_.fetch(server_.uri("endless/a"));
  expect_no_space(outcome, before);
  EXPECT_EQ(server_.log().size(), 1u) << "another try would not help";
}

TEST_F(FullSandboxTest, WithADigestToo) {
  const std::uint64_t before = used(rig_.sandbox());
  Artifact wanted = artifact(server_.uri("endless/a"), std::string(64, '0'));
  wanted.cache = CacheUse::kNo;
  expect_no_space(rig_.fetch({wanted}), before);
}

// Room for bytes is not all: a file system without inodes is full too.
TEST_F(FullSandboxTest, NoInodeLeft) {
  ASSERT_EQ(::mount("tmpfs", rig_.sandbox().c_str(), "tmpfs", MS_REMOUNT, "nr_inodes=1"), 0);
  const std::uint64_t before = used(rig_.sandbox());
  expect_no_space(rig_.fetch(server_.uri("ok/a")), before);
}

TEST_F(FullSandboxTest, AnArchiveThatGrowsTooBig) {
  std::vector<TarEntry> entries;
  for (int i = 0; i < 10; ++i) entries.push_back({"file" + std::to_string(i), std::string(100'000, 'x')});
  const std::string path = rig_.path("a.tar");
  ASSERT_TRUE(replace_file(path, tar(entries), 0644));
  ASSERT_EQ(std::system(("gzip '" + path + "' && chmod 0644 '" + path + ".gz'").c_str()), 0);
  ASSERT_EQ(::chmod(rig_.path(".").c_str(), 0755), 0);
  const std::uint64_t before = used(rig_.sandbox());
  expect_no_space(rig_.fetch("file://" + path + ".gz"), before);
}

TEST_F(FullSandboxTest, OutOfTheCache) {
  const Artifact wanted = artifact(server_.uri("ok/a"), sha256(OddServer::content("a")));
  const std::uint64_t before = used(rig_.sandbox());
  for (int round = 0; round < 2; ++round) expect_no_space(rig_.fetch({wanted}), before);
  EXPECT_EQ(server_.log().size(), 1u) << "the cache has kept it";
}

// What is to be cached goes to the cache's file system first, and needs its room.
TEST_F(PlaceTest, AFullCache) {
  mount_small(rig_.cache(), "size=160k,mode=0700");
  const FetchOutcome outcome = rig_.fetch({artifact(server_.uri("ok/a"), sha256(OddServer::content("a")))});
  EXPECT_EQ(outcome.exit, 1);
  EXPECT_THAT(outcome.err, HasSubstr("no space: it is 293.0 KB, and "));
  EXPECT_THAT(rig_.names(), IsEmpty());
  EXPECT_LT(used(rig_.cache()), 100'000u) << "nothing half-written stays";
  Artifact apart = artifact(server_.uri("ok/a"), sha256(OddServer::content("a")));
  apart.cache = CacheUse::kNo;
  EXPECT_EQ(rig_.fetch({apart}).exit, 0);
}

// Where nothing can be shared, and /proc/sys/fs/protected_hardlinks lets users link their own files alone.
TEST_F(PlaceTest, ABigEntryIsLinkedUnlessTheTaskIsRoots) {
  ASSERT_EQ(::chmod(rig_.path(".").c_str(), 0755), 0);
  const std::string root = rig_.path("root"), bytes(3'000'000, 'x'), source = rig_.path("source");
  mount_small(root, "mode=0755");
  ASSERT_TRUE(replace_file(source, bytes, 0644));
  rig_.configure("cache_folder " + root + "/cache");
  rig_.configure("helper own /bin/cat " + source);
  for (const uid_t uid : {65534u, 0u}) {
    FetchRequest request = rig_.request({artifact("own://there/a", sha256(bytes))});
    request.folder = root + "/sandbox" + std::to_string(uid);
    request.uid = request.gid = uid;
    ASSERT_TRUE(make_dirs(request.folder, 0700));
    ASSERT_EQ(::chown(request.folder.c_str(), uid, uid), 0);
    const FetchOutcome outcome = rig_.run(request);
    ASSERT_EQ(outcome.exit, 0) << outcome.err;
    struct stat info {};
    ASSERT_EQ(::stat((request.folder + "/a").c_str(), &info), 0);
    EXPECT_EQ(info.st_nlink, uid == 0 ? 1u : 2u);
    EXPECT_EQ(info.st_mode & 07777, uid == 0 ? 0644u : 0444u);
    EXPECT_EQ(info.st_uid, 0u);
  }
}

/// Whether all of a file's blocks are shared with another's (ioctl FIEMAP).
bool is_shared(const std::string& path) {
  const auto file = open_file(path, O_RDONLY);
  if (!file) return false;
  alignas(fiemap) char room[sizeof(fiemap) + 64 * sizeof(fiemap_extent)]{};
  auto& map = *reinterpret_cast<fiemap*>(room);
  map.fm_length = FIEMAP_MAX_OFFSET;
  map.fm_flags = FIEMAP_FLAG_SYNC;
  map.fm_extent_count = 64;
  if (::ioctl(file->get(), FS_IOC_FIEMAP, &map) != 0) return false;
  for (unsigned i = 0; i < map.fm_mapped_extents; ++i)
    if ((map.fm_extents[i].fe_flags & FIEMAP_EXTENT_SHARED) == 0) return false;
  return map.fm_mapped_extents > 0;
}

class SharedBlocksTest : public PlaceTest, public testing::WithParamInterface<std::string> {};
INSTANTIATE_TEST_SUITE_P(On, SharedBlocksTest, testing::Values("btrfs", "xfs"),
                         [](const auto& name) { return name.param; });

TEST_P(SharedBlocksTest, AnEntryIsNeitherCopiedNorLinked) {
  const std::string make = "/usr/sbin/mkfs." + GetParam();
  if (!exists(make)) GTEST_SKIP() << "needs " << make << " (btrfs-progs, xfsprogs: packaging/packages)";
  const std::string image = rig_.path("image"), root = rig_.path("root");
  ASSERT_TRUE(make_dirs(root, 0755));
  ASSERT_EQ(std::system(("truncate -s 400M '" + image + "' && " + make + " -q '" + image + "'").c_str()), 0);
  if (std::system(("mount -o loop '" + image + "' '" + root + "' 2>/dev/null").c_str()) != 0)
    GTEST_SKIP() << "this host mounts no " << GetParam() << " of a loop device";
  mounted_.push_back(root);
  ASSERT_EQ(::chmod(rig_.path(".").c_str(), 0755), 0);
  rig_.configure("cache_folder " + root + "/cache");
  // So big that it would be linked if it could not share blocks.
  const std::string bytes(3'000'000, 'x'), source = rig_.path("source");
  ASSERT_TRUE(replace_file(source, bytes, 0644));
  rig_.configure("helper own /bin/cat " + source);
  FetchRequest request = rig_.request({artifact("own://there/a", sha256(bytes))});
  request.folder = root + "/sandbox";
  ASSERT_TRUE(make_dirs(request.folder, 0700));
  ASSERT_EQ(::chown(request.folder.c_str(), 65534, 65534), 0);
  const std::string file = request.folder + "/a";
  for (int round = 0; round < 2; ++round) {  // downloaded, and out of the cache
    const FetchOutcome outcome = rig_.run(request);
    ASSERT_EQ(outcome.exit, 0) << outcome.err;
    EXPECT_EQ(outcome.status.items.at(0).from == "cache", round == 1);
    EXPECT_TRUE(*read_file(file) == bytes);
    EXPECT_TRUE(is_shared(file));
    struct stat info {};
    ASSERT_EQ(::stat(file.c_str(), &info), 0);
    EXPECT_EQ(info.st_nlink, 1u);
    EXPECT_EQ(info.st_uid, 65534u);
    EXPECT_EQ(info.st_mode & 07777, 0644u);
    // The task's own to change, and nobody else's file changes.
    ASSERT_EQ(std::system(("setpriv --reuid=65534 --clear-groups sh -c 'echo mine > \"" + file + "\"'").c_str()), 0);
  }
}

}  // namespace
}  // namespace dewar
