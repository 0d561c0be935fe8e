// Tasks in roots of their own, in user namespaces, and behind Landlock.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "base/files.h"
#include "isolation/landlock.h"
#include "tests/isolation/image_fixture.h"
#include "tests/isolation/kernel_fixture.h"

namespace dewar {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ImageRootTest : public ContainerTest {
 protected:
  void SetUp() override {
    ContainerTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    image_ = folder("image");
    make_small_root(image_);
    ASSERT_TRUE(make_dirs(image_ + "/etc"));
    ASSERT_TRUE(replace_file(image_ + "/etc/os-release", "NAME=Flask\n"));
    spec().image_folder = image_;
    spec().sandbox.root.path = image_;
  }
  void be_writable() {
    spec().sandbox.root.writable = true;
    spec().layer_folder = folder("layer");
    ASSERT_TRUE(make_dirs(spec().layer_folder, 0700));
  }
  void link(const std::string& to, const std::string& at) const {
    ASSERT_EQ(::symlink(to.c_str(), (image_ + at).c_str()), 0) << at;
  }
  std::string image_;
};

TEST_F(ImageRootTest, TheImageIsTheRootAndNothingOfItChanges) {
  const auto before = *list_dir(image_);
  const Container container = make();
  EXPECT_EQ(run(container, "cat /etc/os-release").output, "NAME=Flask\n");
  EXPECT_THAT(run(container, "ls /usr/bin /etc/passwd").output, HasSubstr("No such file"));
  EXPECT_EQ(run(container, "for d in /*; do echo -n \"$d \"; done").output,
            "/bin /dev /etc /lib /lib64 /proc /run /sys /tmp /var ");
  for (const char* path : {"/x", "/bin/x", "/etc/x", "/etc/os-release", "/dev/x", "/var/x"})
    EXPECT_NE(run(container, std::string("echo x > ") + path, 0).code, 0) << path;
  EXPECT_EQ(run(container, "echo x > here && cat here; echo y > /tmp/y && cat /tmp/y").output, "x\ny\n");
  EXPECT_EQ(run(container, "cat /etc/hosts").output, *read_file("/etc/hosts"));
  EXPECT_EQ(*list_dir(image_), before) << "mount points are not made in it either";
}

TEST_F(ImageRootTest, AWritableRootKeepsChangesInItsLayer) {
  be_writable();
  const Container container = make();
  EXPECT_EQ(
      run(container, "echo new > /etc/os-release && echo x > /made && rm /bin/stat && cat /etc/os-release", 0).output,
      "new\n");
  EXPECT_EQ(run(container, "cat /made").output, "x\n") << "seen by the task's other processes";
  EXPECT_EQ(*read_file(image_ + "/etc/os-release"), "NAME=Flask\n");
  EXPECT_TRUE(exists(image_ + "/bin/stat"));
  EXPECT_EQ(*read_file(folder("layer/upper/made")), "x\n");
}

TEST_F(ImageRootTest, ASetuidProgramOfAnImageGainsNothing) {
  std::filesystem::copy_file(DEWAR_BIN "/testcase", image_ + "/bin/uid");
  ASSERT_EQ(::chmod((image_ + "/bin/uid").c_str(), 04755), 0);
  const Container container = make();
  EXPECT_EQ(run(container, "uid uid", 1234).output, "1234 1234\n");
}

/// The kernel's views and our folders stand where they belong, whatever the image has there.
// covers: S4
TEST_F(ImageRootTest, LinksInPlacesOfMountsAreReplaced) {
  const std::string canary = folder("canary");
  ASSERT_TRUE(make_dirs(canary));
  link("/", "/dev");
  link("/tmp", "/proc");
  link(canary, "/tmp");
  link("../../../../../../../../" + canary, "/sys");
  ASSERT_TRUE(replace_file(image_ + "/run", "a file"));
  link(canary + "/hosts", "/etc/hosts");
  const Container container = make();
  EXPECT_THAT(run(container, "cat /proc/self/mountinfo | while read -r a b c d e f; do echo $e; done").output,
              ::testing::AllOf(HasSubstr("/dev/null\n"), HasSubstr("/proc\n"), HasSubstr("/sys\n"), HasSubstr("/tmp\n"),
                               HasSubstr("/run\n"), HasSubstr("/etc/hosts\n")));
  EXPECT_EQ(run(container, "[ -L /dev ] || [ -L /proc ] || [ -L /tmp ] || [ -L /sys ] || echo none").output, "none\n");
  EXPECT_EQ(run(container, "cat /proc/kcore /proc/keys 2>/dev/null", 0).output, "");
  EXPECT_NE(run(container, "echo x > /proc/sys/kernel/core_pattern", 0).code, 0);
  EXPECT_THAT(*list_dir(canary), IsEmpty());
}

/// Folders of the image change places with links that lead out, while containers are made over it. Whether that
/// succeeds is the image's business; what is outside is not.
// covers: S4
TEST_F(ImageRootTest, AnImageThatChangesMeanwhileReachesNothingOutside) {
  const std::string canary = folder("canary");
  for (const char* name : {"/dev", "/proc", "/tmp", "/var", "/run"}) ASSERT_TRUE(make_dirs(image_ + name));
  ASSERT_TRUE(make_dirs(canary));
  for (const char* name : {"/dev.", "/proc.", "/tmp.", "/var.", "/run."}) link(canary, name);
  std::jthread racer([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      for (const std::string name : {"/dev", "/proc", "/tmp", "/var", "/run"})
        ::syscall(SYS_renameat2, AT_FDCWD, (image_ + name).c_str(), AT_FDCWD, (image_ + name + ".").c_str(),
                  RENAME_EXCHANGE);
    }
  });
  int made = 0;
  for (int round = 0; round < 40; ++round) {
    auto container = Container::create(spec());
    made += static_cast<bool>(container);
    EXPECT_TRUE(Container::sweep(spec(), 30000));
    EXPECT_THAT(*list_dir(canary), IsEmpty()) << "in round " << round;
    if (HasFailure()) break;
  }
  RecordProperty("containers_made", made);
}

class UserNamespaceTest : public ImageRootTest {
 protected:
  static constexpr std::uint32_t kFirstId = 0x70000000;
  void SetUp() override {
    ImageRootTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    spec().first_id = kFirstId;
    spec().sandbox.user_namespace = true;
    ASSERT_EQ(::chown(folder("sandbox").c_str(), kFirstId, kFirstId), 0);
  }
  void use_host_root() {
    spec().image_folder.clear();
    spec().sandbox.root = {};
  }
  bool maps_ids() { return run(make(), "stat -c %u /etc/os-release", 0).output == "0\n"; }
};

TEST_F(UserNamespaceTest, RootInsideIsTheRangesFirstIdOutside) {
  use_host_root();
  const Container container = make();
  EXPECT_EQ(run(container, "id -u; echo x > file; stat -c %u file; cat /proc/self/uid_map | tr -s ' '", 0).output,
            "0\n0\n 0 1879048192 65536\n");
  struct stat info {};
  ASSERT_EQ(::stat(folder("sandbox/file").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, kFirstId);
  EXPECT_EQ(info.st_gid, kFirstId);
  EXPECT_EQ(run(container, "id -u", 1000).output, "1000\n");
}

TEST_F(UserNamespaceTest, RootInsideIsNobodyToTheHost) {
  use_host_root();
  ASSERT_TRUE(replace_file(folder("sandbox/secret"), "root's"));
  ASSERT_EQ(::chmod(folder("sandbox/secret").c_str(), 0600), 0);
  const Container container = make();
  EXPECT_THAT(run(container, "cat secret", 0).output, HasSubstr("Permission denied"));
  EXPECT_THAT(run(container, "chmod 644 secret", 0).output, HasSubstr("not permitted"));
  EXPECT_EQ(run(container, "stat -c %u /usr/bin/env secret", 0).output, "65534\n65534\n");
  for (const char* act : {"mount -t tmpfs x /tmp", "hostname evil", "unshare -m true",
                          "echo 1 > /proc/sys/kernel/sysrq", "cat /proc/1/environ", "ls /proc/1/fd/", "chown 0 secret"})
    EXPECT_NE(run(container, act, 0).code, 0) << act;
  run(container, "kill -9 1", 0);
  EXPECT_EQ(run(container, "echo alive").output, "alive\n") << "PID 1 takes no signal from inside";
}

TEST_F(UserNamespaceTest, AnImagesFilesAreRootsInside) {
  if (!maps_ids()) GTEST_SKIP() << "this kernel or file system cannot map ids of an image (Linux 5.19)";
  ASSERT_TRUE(Container::sweep(spec(), 30000));
  be_writable();
  const Container container = make();
  EXPECT_EQ(
      run(container, "stat -c %u / /etc/os-release; echo new > /etc/os-release; echo x > /made; cat /etc/os-release", 0)
          .output,
      "0\n0\nnew\n");
  EXPECT_NE(run(container, "echo x > /etc/os-release", 1000).code, 0);
  struct stat info {};
  for (const char* path : {"layer/upper/made", "layer/upper/etc/os-release"}) {
    ASSERT_EQ(::stat(folder(path).c_str(), &info), 0) << path;
    EXPECT_EQ(info.st_uid, kFirstId) << path;
  }
  EXPECT_EQ(*read_file(image_ + "/etc/os-release"), "NAME=Flask\n");
}

TEST_F(UserNamespaceTest, ATerminalAndPrivateFoldersWork) {
  use_host_root();
  const Container container = make();
  EXPECT_EQ(run(container, "python3 -c 'import pty; print(len(pty.openpty()))'", 0).output, "2\n");
  EXPECT_EQ(run(container, "echo a > /tmp/a; echo b > /dev/shm/b; cat /tmp/a /dev/shm/b; ls /root", 0).output,
            "a\nb\n");
}

// Landlock ------------------------------------------------------------------------------------------------------------

class LandlockTest : public ContainerTest {
 protected:
  void SetUp() override {
    ContainerTest::SetUp();
    if (!IsSkipped() && landlock_abi() < kLandlockLeastAbi) GTEST_SKIP() << "this kernel has no Landlock";
  }
  /// `script` as root in a container of its own.
  Ended run_once(const std::string& script, bool landlock) {
    spec().sandbox.landlock = landlock;
    const Container container = make();
    const Ended ended = run(container, script, 0);
    EXPECT_TRUE(Container::sweep(spec(), 30000));
    return ended;
  }
};

/// The recipe asks for a root that is only read, and its mount has been left writable.
TEST_F(LandlockTest, AloneItStopsWritingWhereAMountDoesNot) {
  spec().image_folder = folder("image");
  spec().sandbox.root.path = folder("image");
  make_small_root(folder("image"));
  ASSERT_TRUE(make_dirs(folder("layer")));
  spec().layer_folder = folder("layer");  // the mount's read-only flag, taken out: root.writable stays false
  for (const char* act : {"echo x > /made", "rm /bin/cat", "echo x >> /bin/stat", ": > /bin/ls"}) {
    EXPECT_NE(run_once(act, true).code, 0) << act;
    EXPECT_THAT(run_once(act, true).output, HasSubstr("Permission denied")) << act;
  }
  EXPECT_EQ(run_once("echo x > /made", false).code, 0) << "nothing else stops it";
}

TEST_F(LandlockTest, WhatATaskMayDoItStillCan) {
  EXPECT_EQ(run_once("set -e; echo x > a; mkdir d; mv a d/b; ln d/b c; ln -s c l; rm c; : > d/b; echo y > /tmp/y;"
                     "mv /tmp/y /tmp/z; mkfifo f; echo z > /dev/null; echo 0 > /proc/self/oom_score_adj; "
                     "python3 -c 'import os, pty, mmap; pty.openpty(); os.memfd_create(\"x\"); "
                     "os.truncate(\"d/b\", 5)'; cat /usr/bin/env > e; chmod +x e; ./e true; stat -c %s d/b",
                     true)
                .output,
            "5\n");
}

}  // namespace
}  // namespace dewar
