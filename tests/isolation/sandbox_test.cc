// What a task sees and cannot do. Everything runs as an ordinary user under the default filter unless said otherwise.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/files.h"
#include "isolation/attempt_status.h"
#include "tests/isolation/kernel_fixture.h"

namespace dewar {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

using SandboxTest = ContainerTest;

TEST_F(SandboxTest, TheRootIsReadOnlyAndTheSandboxIsNot) {
  const Container container = make();
  for (const char* path : {"/x", "/usr/x", "/etc/x", "/dev/x", "/proc/x", "/sys/x", "/home/x", "/var/x", "/opt/x"}) {
    const std::string script = std::string("touch ") + path;
    EXPECT_NE(run(container, script).code, 0) << path;
    EXPECT_THAT(run(container, script, 0).output,
                ::testing::AnyOf(HasSubstr("Read-only"), HasSubstr("No such file"), HasSubstr("Permission denied")))
        << path;
  }
  EXPECT_EQ(run(container, "touch ./x && echo yes > y && cat y").output, "yes\n");
  EXPECT_TRUE(exists(folder("sandbox/y"))) << "at the same path on the host";
}

TEST_F(SandboxTest, LogsAreThereToReadOnly) {
  ASSERT_TRUE(replace_file(folder("logs/old"), "line\n"));
  const Container container = make();
  EXPECT_EQ(run(container, "cat " + folder("logs/old")).output, "line\n");
  EXPECT_THAT(run(container, "echo x >> " + folder("logs/old"), 0).output, HasSubstr("Read-only"));
  EXPECT_NE(run(container, "rm -f " + folder("logs/old"), 0).code, 0);
}

TEST_F(SandboxTest, TmpIsPrivateAndWritable) {
  const Container container = make();
  for (const std::string path : {"/tmp", "/var/tmp", "/run", "/dev/shm"}) {
    const std::string file = path + "/" + tag();
    EXPECT_EQ(run(container, "echo x > " + file + " && cat " + file).output, "x\n");
    EXPECT_EQ(run(container, "cat " + file).output, "x\n") << "shared by the processes of the task";
    EXPECT_FALSE(exists(file));
  }
}

// covers: limit tmpfs
TEST_F(SandboxTest, ATmpfsHoldsNoMoreThanItsSize) {
  spec().sandbox.tmpfs = {{"/tmp", 1 << 20, 20}, {"/scratch", 1 << 20, 0}};
  const Container container = make();
  EXPECT_THAT(run(container, "head -c 2M /dev/zero > /tmp/big").output, HasSubstr("No space left"));
  EXPECT_THAT(run(container, "rm -f /tmp/*; for i in $(seq 30); do : > /tmp/$i; done").output,
              HasSubstr("No space left"));
  EXPECT_THAT(run(container, "head -c 2M /dev/zero > /scratch/big").output, HasSubstr("No space left"));
}

TEST_F(SandboxTest, TheKernelsDangerousFilesAreEmptyOrReadOnly) {
  const Container container = make();
  for (const char* path :
       {"/proc/kcore", "/proc/keys", "/proc/key-users", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
        "/proc/latency_stats", "/proc/acpi", "/proc/scsi", "/proc/asound", "/sys/firmware",
        "/sys/devices/virtual/powercap", "/sys/kernel/debug", "/sys/kernel/tracing", "/sys/kernel/security"}) {
    const std::string look =
        std::string("p=") + path + "; [ -d $p ] && ls -A $p; [ -f $p ] && cat $p; [ -c $p ] && cat $p; true";
    EXPECT_EQ(run(container, look, 0).output, "") << path;
  }
  for (const char* path : {"/proc/sys/kernel/core_pattern", "/proc/sys/vm/panic_on_oom", "/proc/sysrq-trigger",
                           "/proc/irq/default_smp_affinity", "/sys/kernel/mm/ksm/run", "/sys/power/state"}) {
    if (!exists(path)) continue;
    EXPECT_THAT(run(container, std::string("echo 0 > ") + path, 0).output,
                ::testing::AnyOf(HasSubstr("Read-only"), HasSubstr("Permission denied"), HasSubstr("not permitted")))
        << path;
  }
}

TEST_F(SandboxTest, SecretsOfTheHostAreNotThere) {
  const Container container = make();
  const Ended ended = run(container,
                          "ls -d /etc/shadow /etc/gshadow /etc/ssh /etc/sudoers /etc/ssl/private /boot "
                          "/var/lib /var/log /root/.ssh 2>/dev/null",
                          0);
  EXPECT_EQ(ended.output, "");
}

TEST_F(SandboxTest, DevicesAreOnlyTheUsualOnes) {
  const Container container = make();
  EXPECT_EQ(run(container, "cd /dev; echo *").output,
            "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero\n");
  EXPECT_EQ(run(container, "head -c 4 /dev/zero | wc -c; head -c 4 /dev/urandom | wc -c; echo x > /dev/null").output,
            "4\n4\n");
  EXPECT_EQ(run(container, "python3 -c 'import pty; print(len(pty.openpty()))'").output, "2\n");
  EXPECT_NE(run(container, "mknod ./disk b 254 0", 0).code, 0);
}

TEST_F(SandboxTest, ADeviceNodeInTheSandboxDoesNotOpen) {
  ASSERT_EQ(::mknod(folder("sandbox/node").c_str(), S_IFCHR | 0666, makedev(1, 3)), 0);
  ASSERT_EQ(::chmod(folder("sandbox/node").c_str(), 0666), 0);
  const Container container = make();
  EXPECT_THAT(run(container, "echo x > ./node").output, HasSubstr("Permission denied"));
}

TEST_F(SandboxTest, ASetuidProgramGainsNothing) {
  ASSERT_TRUE(replace_file(folder("sandbox/uid"), *read_file(DEWAR_BIN "/testcase"), 0755));
  ASSERT_EQ(::chmod(folder("sandbox/uid").c_str(), 04755), 0);
  const Container container = make();
  EXPECT_EQ(run(container, "./uid uid", 1234).output, "1234 1234\n");
}

TEST_F(SandboxTest, ATaskHasNoCapabilitiesEvenAsRoot) {
  const Container container = make();
  EXPECT_THAT(run(container, "grep -E 'Cap|NoNewPrivs|Seccomp:' /proc/self/status", 0).output,
              HasSubstr("CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n"
                        "CapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n"));
  EXPECT_NE(run(container, "mount -t tmpfs x /tmp", 0).code, 0);
  EXPECT_NE(run(container, "unshare -U true").code, 0);
  EXPECT_NE(run(container, "hostname evil", 0).code, 0);
}

// covers: S5
TEST_F(SandboxTest, ItsOwnCgroupsAreAllItSeesAndItCannotWriteThem) {
  spec().sandbox.limits.pids = 77;
  const Container container = make();
  EXPECT_EQ(run(container, "cat /proc/self/cgroup | cut -d: -f3 | grep -c " + tag()).output, "0\n");
  EXPECT_THAT(run(container, "cat $(find /sys/fs/cgroup -name pids.max)").output, HasSubstr("77\n"));
  EXPECT_EQ(run(container, "find /sys/fs/cgroup -name release_agent", 0).output, "");
  for (const bool landlock : {true, false}) {
    spec().sandbox.landlock = landlock;
    EXPECT_EQ(run(container, "find /sys/fs/cgroup -writable", 0).output, "");
    EXPECT_NE(run(container, "f=$(find /sys/fs/cgroup -name pids.max | head -1); echo max > $f", 0).code, 0);
    EXPECT_NE(run(container, "mkdir $(dirname $(find /sys/fs/cgroup -name pids.max | head -1))/x", 0).code, 0);
  }
}

/// As OpenJDK 17 and Go's automemlimit do it: the path of /proc/self/cgroup behind the mount that mountinfo tells.
constexpr char kFindLimits[] = R"(
import sys
groups = {}
for line in open("/proc/self/cgroup"):
    number, controllers, path = line.rstrip("\n").split(":", 2)
    for controller in controllers.split(","):
        groups[controller] = path
mounts = {}
for line in open("/proc/self/mountinfo"):
    words = line.split()
    root, point, rest = words[3], words[4], words[words.index("-") + 1:]
    for controller in (rest[2].split(",") if rest[0] == "cgroup" else [""] if rest[0] == "cgroup2" else []):
        mounts.setdefault(controller, (root, point))
def folder(controller):
    (root, point), path = mounts[controller], groups[controller]
    if controller == "" or root == "/":
        return point + (path if path != "/" else "")
    if root == path:
        return point
    sys.exit("no path: mount of " + controller + " has root " + root + ", path " + path)
def text(controller, name):
    return open(folder(controller) + "/" + name).read().strip()
if "memory" in mounts:
    limit = int(text("memory", "memory.limit_in_bytes"))
    if limit > 1 << 60:
        limit = [line.split()[1] for line in text("memory", "memory.stat").split("\n") if "hierarchical_memory_limit" in line][0]
    quota, period = text("cpu", "cpu.cfs_quota_us"), text("cpu", "cpu.cfs_period_us")
else:
    limit = text("", "memory.max")
    quota, period = text("", "cpu.max").split()
print(limit, float(quota) / float(period))
)";

TEST_F(SandboxTest, RuntimesFindTheTasksLimits) {
  spec().sandbox.limits.memory = 256u << 20;
  spec().sandbox.limits.cpu_quota = 1.5;
  ASSERT_TRUE(replace_file(folder("sandbox/find_limits.py"), kFindLimits));
  for (const CgroupLayout& layout : layouts()) {
    spec().cgroups = layout;
    {
      const Container container = make();
      // Where attempts have groups of their own in the cpu hierarchy, since cpuacct is mounted with it and there is no
      // cgroup2, the quota is found by those runtimes only that look further up.
      const auto cpu = layout.v1.find("cpu"), cpuacct = layout.v1.find("cpuacct");
      const bool split = cpu != layout.v1.end() && cpuacct != layout.v1.end() && cpu->second == cpuacct->second;
      EXPECT_EQ(run(container, "python3 find_limits.py").output, split ? "268435456 -1e-05\n" : "268435456 1.5\n");
      if (exists("/usr/bin/java") && !split) {
        EXPECT_THAT(run(container, "java -XshowSettings:system -version 2>&1").output,
                    AllOf(HasSubstr("Memory Limit: 256.00M\n"), HasSubstr("Effective CPU Count: 2\n")));
      }
    }
    EXPECT_TRUE(Container::sweep(spec(), 30000));
  }
}

// covers: S34
TEST_F(SandboxTest, SpeculationIsDeniedForGoodOrRefusedInWords) {
  const Container container = make();
  const std::string look = "grep -E '^Speculation' /proc/self/status; :";
  Running running = start(container, look, 1234, [](AttemptRecipe& recipe) { recipe.deny_speculation = true; });
  EXPECT_EQ(wait_for(running.launcher), 0);
  const auto status = last_status(read_file(running.recipe.status_file).take());
  ASSERT_TRUE(status);
  EXPECT_TRUE(running.leaf.remove());
  if (status->stage == AttemptStage::kRefused) {
    EXPECT_EQ(status->step, "speculation");
    EXPECT_THAT(explain_step(status->step, status->error, status->detail), HasSubstr("leave out deny_speculation"));
    GTEST_SKIP() << "this host leaves no choice: " << status->detail;
  }
  EXPECT_EQ(status->return_code, 0);
  const std::string denied = read_file(running.recipe.logs.folder + "/stdout").take();
  const auto bypass = [](const std::string& lines) { return lines.substr(0, lines.find('\n')); };
  EXPECT_THAT(bypass(denied),
              AnyOf(HasSubstr("thread force mitigated"), HasSubstr("not vulnerable"), HasSubstr("globally mitigated")));
  EXPECT_THAT(denied,
              AnyOf(HasSubstr("conditional force disabled"), HasSubstr("always disabled"), HasSubstr("not affected")));
  EXPECT_THAT(run(container, look, 1234).output, Not(HasSubstr("force"))) << "on request only";
}

TEST_F(SandboxTest, NetworkNoneHasOnlyALoopbackThatIsUp) {
  spec().sandbox.network = Network::kNone;
  const Container container = make();
  EXPECT_EQ(run(container, "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '").output, "lo\n");
  EXPECT_EQ(run(container, "cat /sys/class/net/lo/operstate").output, "unknown\n") << "what an up loopback says";
  EXPECT_EQ(run(container,
                "python3 -c 'import socket; s=socket.create_server((\"127.0.0.1\",0)); "
                "socket.create_connection(s.getsockname()); print(\"up\")'")
                .output,
            "up\n");
}

TEST_F(SandboxTest, TheHostsNetworkIsSharedUnlessAskedOtherwise) {
  const Container container = make();
  char host[64] = {};
  ASSERT_GT(::readlink("/proc/self/ns/net", host, sizeof host - 1), 0);
  EXPECT_EQ(run(container, "readlink /proc/self/ns/net").output, std::string(host) + "\n");
}

TEST_F(SandboxTest, OtherTasksAreInvisible) {
  const Container container = make();
  ContainerSpec other = spec();
  other.id = "other";
  other.root_folder = folder("other-root");
  {
    const auto neighbour = Container::create(other);
    ASSERT_TRUE(neighbour) << neighbour.error().message();
    EXPECT_EQ(run(*neighbour, "set -- /proc/[0-9]*; echo $#").output, "2\n") << "PID 1 and the shell";
    EXPECT_NE(run(container, "kill -0 " + std::to_string(neighbour->init_id().pid), 0).code, 0);
  }
  EXPECT_TRUE(Container::sweep(other, 30000));
}

TEST_F(SandboxTest, HostNameAndIpcAreItsOwn) {
  const Container container = make();
  EXPECT_EQ(run(container, "cat /proc/sys/kernel/hostname; uname -n").output, "flask\nflask\n");
  EXPECT_EQ(run(container, "ipcmk -M 4096 >/dev/null; ipcs -m | grep -c ^0x").output, "1\n");
  char host[64] = {};
  ASSERT_GT(::readlink("/proc/self/ns/ipc", host, sizeof host - 1), 0);
  EXPECT_THAT(run(container, "readlink /proc/self/ns/ipc").output, Not(HasSubstr(host)));
}

TEST_F(SandboxTest, ABindIsReadOnlyAndItsSetuidAndDevicesAreDead) {
  ASSERT_TRUE(make_dirs(folder("data")));
  ASSERT_TRUE(replace_file(folder("data/file"), "content\n"));
  spec().sandbox.binds = {{folder("data"), "/data"}, {folder("data/file"), "/etc/hosts.extra"}};
  const Container container = make();
  EXPECT_EQ(run(container, "cat /data/file /etc/hosts.extra").output, "content\ncontent\n");
  EXPECT_THAT(run(container, "echo x > /data/file", 0).output, HasSubstr("Read-only"));
  EXPECT_THAT(run(container, "grep ' /data ' /proc/self/mountinfo").output, HasSubstr("ro,nosuid,nodev"));
}

TEST_F(SandboxTest, NoMountAllowsSetuid) {
  const Container container = make();
  EXPECT_EQ(run(container, "grep -v nosuid /proc/self/mountinfo").output, "");
}

}  // namespace
}  // namespace dewar
