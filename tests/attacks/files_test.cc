// Attacks on the files of the kernel and of the host: what is mounted, what is masked, devices, setuid programs.
#include "base/files.h"

#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "isolation/cgroup/devices.h"
#include "isolation/seccomp/profile.h"
#include "tests/attacks/attack_test.h"
#include "tests/support/loop_device.h"

namespace dewar {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using FilesTest = AttackTest;

// covers: S4
TEST_F(FilesTest, WhatTheSandboxHasMountedStaysWhereItIs) {
  const Container container = make();
  for (const uid_t uid : {uid_t{0}, kSomebody}) {
    const Ended ended = attack(container, "mounts", uid);
    EXPECT_EQ(breaches(ended.output), "") << uid;
    EXPECT_THAT(ended.output, HasSubstr("tried "));
  }
}

// covers: S4
TEST_F(FilesTest, ASandboxFolderFullOfTrapsIsEnteredSafely) {
  // What an earlier task left: links in the places that a sandbox's maker might follow.
  const std::string host = folder("host");
  ASSERT_TRUE(make_dirs(host));
  for (const char* name : {"dev", "proc", "sys", "tmp", "run", "etc", ".logs", "console", "cache", "data"})
    ASSERT_EQ(::symlink(host.c_str(), folder(std::string("sandbox/") + name).c_str()), 0);
  spec().sandbox.tmpfs = {{.target = spec().sandbox_folder + "/cache"}};
  spec().sandbox.binds = {{"/usr/share", spec().sandbox_folder + "/data"}};
  const Container container = make();
  EXPECT_EQ(run(container, "echo x > tmp/y; echo x > cache/y; stat -f -c %T /proc /sys /dev", 0).output,
            run(container, "echo x > tmp/y; echo x > cache/y; stat -f -c %T /proc /sys /dev", 0).output);
  EXPECT_EQ(run(container, "stat -f -c %T /proc /sys /dev", 0).output, "proc\nsysfs\ntmpfs\n");
  EXPECT_THAT(list_dir(host).take(), ::testing::IsEmpty()) << "nothing arrived on the host";
}

// covers: S5
TEST_F(FilesTest, NoReleaseAgentCanBeSet) {
  const Container container = make();
  for (const uid_t uid : {uid_t{0}, kSomebody}) {
    const Ended ended = attack(container, "release_agent", uid);
    EXPECT_EQ(breaches(ended.output), "") << uid;
    EXPECT_THAT(ended.output, HasSubstr("tried "));
  }
}

// covers: S6, S8
TEST_F(FilesTest, NoFileOfTheKernelOpensForWriting) {
  const Container container = make();
  for (const uid_t uid : {uid_t{0}, kSomebody}) {
    const Ended ended = attack(container, "kernel", uid);
    EXPECT_EQ(breaches(ended.output), "") << uid;
    EXPECT_THAT(ended.output, HasSubstr("tried "));
  }
}

// covers: S6
TEST_F(FilesTest, TheCorePatternAndOtherSysctlsStay) {
  const std::string before = read_file("/proc/sys/kernel/core_pattern").take();
  const Container container = make();
  for (const char* name : {"kernel/core_pattern", "kernel/modprobe", "kernel/shm_rmid_forced", "kernel/msgmax",
                           "fs/mqueue/msg_max", "net/ipv4/ip_forward", "vm/overcommit_memory", "kernel/hostname"}) {
    const std::string path = "/proc/sys/" + std::string(name);
    if (!exists(path)) continue;
    EXPECT_THAT(run(container, "echo '|/tmp/evil' > " + path, 0).output,
                AnyOf(HasSubstr("Read-only"), HasSubstr("Permission denied"), HasSubstr("not permitted")))
        << path;
  }
  EXPECT_EQ(read_file("/proc/sys/kernel/core_pattern").take(), before);
}

// covers: S8
TEST_F(FilesTest, WhatTellsOfTheHostIsEmpty) {
  const Container container = make();
  for (const std::string path :
       {"/proc/kcore", "/proc/keys", "/proc/key-users", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
        "/proc/latency_stats", "/proc/acpi", "/proc/scsi", "/proc/asound", "/proc/interrupts", "/sys/firmware",
        "/sys/devices/virtual/powercap", "/sys/kernel/debug", "/sys/kernel/tracing", "/sys/kernel/security"}) {
    const std::string look =
        "p=" + path + "; [ -d $p ] && ls -A $p 2>/dev/null; [ -d $p ] || cat $p 2>/dev/null | head -c 100; true";
    for (const uid_t uid : {uid_t{0}, kSomebody}) EXPECT_EQ(run(container, look, uid).output, "") << path;
  }
  EXPECT_THAT(run(container, "dmesg; cat /proc/kmsg", 0).output,
              AnyOf(HasSubstr("not permitted"), HasSubstr("denied")));
}

/// A disk of the host's that says "secret" to whoever can read it.
class DiskTest : public AttackTest {
 protected:
  void SetUp() override {
    AttackTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    std::string bytes = "secret";
    bytes.resize(1 << 16);
    ASSERT_TRUE(replace_file(folder("disk"), bytes));
    disk_ = std::make_unique<LoopDevice>(folder("disk"));
    if (disk_->path().empty()) GTEST_SKIP() << "no loop device is to be had here";
  }
  void TearDown() override {
    disk_.reset();
    AttackTest::TearDown();
  }
  std::string numbers() const {
    struct stat info {};
    EXPECT_EQ(::stat(disk().c_str(), &info), 0);
    return std::to_string(major(info.st_rdev)) + " " + std::to_string(minor(info.st_rdev));
  }
  const std::string& disk() const { return disk_->path(); }

 private:
  std::unique_ptr<LoopDevice> disk_;
};

// covers: S12
TEST_F(DiskTest, NoNodeThatATaskMakesOpens) {
  const Container container = make();
  constexpr std::uint64_t kMknod = std::uint64_t{1} << CAP_MKNOD;
  for (const std::uint64_t capabilities : {std::uint64_t{0}, kMknod}) {
    for (const uid_t uid : {uid_t{0}, kSomebody}) {
      const Ended ended = finish(start(container, "./attack devices " + numbers(), uid, [&](AttemptRecipe& recipe) {
        recipe.capabilities = capabilities;
        recipe.writable.clear();  // Landlock, where there is one, makes no nodes
      }));
      EXPECT_EQ(breaches(ended.output), "") << "uid " << uid << " capabilities " << capabilities;
      EXPECT_THAT(ended.output, HasSubstr("tried 30"));
    }
  }
}

/// Of all that keeps a task from a disk only the device rules of its cgroup are left here: the node is in its /dev,
/// where nodes work, and it is root, who may read it.
// covers: S12, limit devices
TEST_F(DiskTest, IsReadByWhoWasGrantedItAlone) {
  spec().sandbox.devices = {{disk(), "r"}};
  const Container container = make();
  const std::string read = "head -c 6 " + disk(), write = "echo x > " + disk();
  EXPECT_EQ(run(container, read, 0).output, "secret");
  EXPECT_THAT(run(container, write, 0).output, HasSubstr("Operation not permitted")) << "granted for reading";
  Cgroup group = container.cgroup();
  ASSERT_TRUE(group.allow_devices(usual_devices())) << "the grant is taken back";

  EXPECT_EQ(run(container, read, 0).output,
            "head: cannot open '" + disk() + "' for reading: Operation not permitted\n");
}

// covers: S13
TEST_F(FilesTest, ASetuidProgramShowsTheCallersOwnId) {
  for (const char* name : {"sandbox/setuid", "data/setuid"}) {
    ASSERT_TRUE(make_dirs(folder("data")));
    ASSERT_TRUE(replace_file(folder(name), *read_file(DEWAR_BIN "/attack"), 0755));
    ASSERT_EQ(::chmod(folder(name).c_str(), 06755), 0);
  }
  spec().sandbox.binds = {{folder("data"), "/data"}};
  const Container container = make();
  EXPECT_EQ(run(container, "./setuid uid; /data/setuid uid", kSomebody).output, "1234 1234\n1234 1234\n");
  EXPECT_EQ(run(container, "cp ./setuid /tmp/s; chmod 6755 /tmp/s; ls -n /tmp/s | cut -c 1-10", 0).output,
            "-rwsr-sr-x\n");
  EXPECT_EQ(run(container, "/tmp/s uid", kSomebody).output, "1234 1234\n") << "made by root in the sandbox";
}

}  // namespace
}  // namespace dewar
