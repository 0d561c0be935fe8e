// Project quotas on small file systems of our own, where this kernel keeps quotas (the virtual machine's does).
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <set>

#include "isolation/disk/project_quota.h"
#include "tests/support/own_mounts.h"
#include "tests/support/temp_folder.h"

namespace dewar {
namespace {

constexpr uid_t kNobody = 65534;

/// What `act` returns in a child that is nobody, without any right.
int as_nobody(const std::function<int()>& act) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(::setgid(kNobody) == 0 && ::setuid(kNobody) == 0 ? act() : 255);
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/// Writes up to `bytes`; the errno that stopped it, or 0.
int write_much(const std::string& path, std::size_t bytes) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT, 0644));
  if (!fd) return errno;
  const std::string block(65536, 'x');
  for (std::size_t done = 0; done < bytes; done += block.size())
    if (::write(fd.get(), block.data(), block.size()) != static_cast<ssize_t>(block.size()))
      return ::write(fd.get(), block.data(), block.size()) < 0 ? errno : 0;
  return ::fsync(fd.get()) == 0 ? 0 : errno;
}

int make_files(const std::string& folder, int count) {
  for (int n = 0; n < count; ++n)
    if (!UniqueFd(::open((folder + "/" + std::to_string(n)).c_str(), O_WRONLY | O_CREAT, 0644))) return errno;
  return 0;
}

struct Kind {
  const char *name, *make;
  int refusal;  ///< how a write past the quota fails
};

class DiskQuotaTest : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    take_own_mounts();
    const std::string image = folder_ / "image";
    ASSERT_EQ(::chmod(folder_.path().c_str(), 0755), 0);
    ASSERT_TRUE(make_dirs(at("")));
    const std::string make = "truncate -s 400M " + image + " && " + GetParam().make + " " + image + " >/dev/null 2>&1";
    if (std::system(make.c_str()) != 0) GTEST_SKIP() << "cannot make such a file system: " << GetParam().make;
    const std::string mount = "mount -o loop,prjquota " + image + " " + at("") + " 2>/dev/null";
    if (std::system(mount.c_str()) != 0) GTEST_SKIP() << "this kernel keeps no project quotas on " << GetParam().name;
    mounted_ = true;
  }
  void TearDown() override { EXPECT_TRUE(!mounted_ || ::umount2(at("").c_str(), 0) == 0) << std::strerror(errno); }
  std::string at(const std::string& name) const { return folder_ / "disk" + (name.empty() ? "" : "/" + name); }
  std::string make_folder(const std::string& name) const {
    EXPECT_TRUE(make_dirs(at(name), 0755));
    EXPECT_EQ(::chown(at(name).c_str(), kNobody, kNobody), 0);
    return at(name);
  }
  static ProjectQuota claim(const std::vector<std::string>& folders, const DiskLimits& limits) {
    auto quota = ProjectQuota::claim(folders, limits);
    EXPECT_TRUE(quota) << quota.error().message();
    return std::move(quota).take();
  }

  TempFolder folder_;
  bool mounted_ = false;
};
INSTANTIATE_TEST_SUITE_P(Both, DiskQuotaTest,
                         testing::Values(Kind{"ext4", "mkfs.ext4 -q -O quota,project -E quotatype=prjquota", EDQUOT},
                                         Kind{"xfs", "mkfs.xfs -q", ENOSPC}),
                         [](const auto& kind) { return kind.param.name; });

// covers: limit resources.disk
TEST_P(DiskQuotaTest, StopsAWriterAtTheLimitAndNobodyElse) {
  const std::string folder = make_folder("a"), other = make_folder("b");
  const ProjectQuota quota = claim({folder}, {4u << 20, 0, 0});
  EXPECT_EQ(as_nobody([&] { return write_much(folder + "/file", 8u << 20); }), GetParam().refusal);
  const auto usage = quota.usage();
  ASSERT_TRUE(usage);
  EXPECT_LE(usage->bytes, 4u << 20);
  EXPECT_GT(usage->bytes, 3u << 20);
  EXPECT_EQ(usage->inodes, 2u);
  EXPECT_EQ(as_nobody([&] { return write_much(other + "/file", 8u << 20); }), 0);
}

// covers: limit sandbox.inodes
TEST_P(DiskQuotaTest, StopsAfterTheLastFile) {
  const std::string folder = make_folder("a");
  const ProjectQuota quota = claim({folder}, {0, 50, 0});
  EXPECT_EQ(as_nobody([&] { return make_files(folder, 100); }), GetParam().refusal);
  EXPECT_EQ(quota.usage()->inodes, 50u);
}

TEST_P(DiskQuotaTest, CountsAllFoldersOfTheTaskTogether) {
  const std::string a = make_folder("a"), b = make_folder("b");
  const ProjectQuota quota = claim({a, b}, {4u << 20, 0, 0});
  EXPECT_EQ(as_nobody([&] { return write_much(a + "/file", 3u << 20); }), 0);
  EXPECT_EQ(as_nobody([&] { return write_much(b + "/file", 3u << 20); }), GetParam().refusal);
}

TEST_P(DiskQuotaTest, IsFoundAgain) {
  const std::string folder = make_folder("a");
  const ProjectQuota made = claim({folder}, {4u << 20, 0, 0});
  const auto found = ProjectQuota::find(folder);
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_EQ(found->id(), made.id());
  EXPECT_EQ(ProjectQuota::find(make_folder("b")).error().code, std::errc::no_such_file_or_directory);
}

TEST_P(DiskQuotaTest, ManyAtOnceGetNumbersOfTheirOwn) {
  constexpr int kTasks = 12;
  std::vector<pid_t> claimers;
  for (int n = 0; n < kTasks; ++n) {
    const std::string folder = make_folder(std::to_string(n));
    claimers.push_back(::fork());
    if (claimers.back() == 0) ::_exit(ProjectQuota::claim({folder}, {1u << 20, 0, 0}) ? 0 : 1);
  }
  std::set<std::uint32_t> ids;
  for (int n = 0; n < kTasks; ++n) {
    int status = -1;
    ::waitpid(claimers[static_cast<std::size_t>(n)], &status, 0);
    EXPECT_EQ(status, 0);
    const auto quota = ProjectQuota::find(at(std::to_string(n)));
    ASSERT_TRUE(quota);
    ids.insert(quota->id());
  }
  EXPECT_EQ(ids.size(), static_cast<std::size_t>(kTasks));
}

TEST_P(DiskQuotaTest, ANumberIsFreeAgainOnceItsFoldersAreGone) {
  const std::string folder = make_folder("a");
  const std::uint32_t first = claim({folder}, {4u << 20, 0, 0}).id();
  EXPECT_NE(claim({make_folder("b")}, {1u << 20, 0, 0}).id(), first);
  ASSERT_TRUE(remove_tree(folder));
  // XFS gives back what removed files took a little later.
  std::string next;
  for (int tries = 0; tries < 200; ++tries) {
    next = "c" + std::to_string(tries);
    if (claim({make_folder(next)}, {8u << 20, 0, 0}).id() == first) break;
    ASSERT_TRUE(remove_tree(at(next)));
    ::usleep(50000);
  }
  const auto again = ProjectQuota::find(at(next));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->id(), first);
  EXPECT_EQ(as_nobody([&] { return write_much(at(next + "/file"), 6u << 20); }), 0) << "the old limit is gone";
}

// The hole that the kernel leaves, and for which the seccomp filter forbids two ioctls: see Disk.ATaskCannotLeave….
TEST_P(DiskQuotaTest, AnOwnerWithoutAFilterCanLeave) {
  const std::string folder = make_folder("a");
  const ProjectQuota quota = claim({folder}, {4u << 20, 0, 0});
  const int left = as_nobody([&] {
    const UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY));
    fsxattr attributes{};
    ::ioctl(fd.get(), FS_IOC_FSGETXATTR, &attributes);
    attributes.fsx_projid = 0;
    attributes.fsx_xflags &= ~static_cast<std::uint32_t>(FS_XFLAG_PROJINHERIT);
    return ::ioctl(fd.get(), FS_IOC_FSSETXATTR, &attributes) == 0 ? 0 : errno;
  });
  EXPECT_EQ(left, 0);
  EXPECT_FALSE(ProjectQuota::find(folder));
}

TEST(ProjectQuotaTest, AFileSystemWithoutQuotasIsToldInWords) {
  const TempFolder memory("/dev/shm");
  const auto quota = ProjectQuota::claim({memory.path()}, {1u << 20, 0, 0});
  ASSERT_FALSE(quota);
  EXPECT_EQ(quota.error().code, std::errc::not_supported);
  EXPECT_NE(quota.error().message().find("quotas"), std::string::npos) << quota.error().message();
  EXPECT_FALSE(ProjectQuota::check(memory.path()));
  EXPECT_FALSE(ProjectQuota::find(memory.path()));
}

}  // namespace
}  // namespace dewar
