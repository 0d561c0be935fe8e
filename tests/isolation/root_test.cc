#include "isolation/root.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/files.h"
#include "tests/support/temp_folder.h"

namespace dewar {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::Not;

HostRoot merged_usr() {
  HostRoot host;
  host.links = {{"/bin", "usr/bin"},
                {"/lib", "usr/lib"},
                {"/lib64", "usr/lib64"},
                {"/sbin", "usr/sbin"},
                {"/vmlinuz", "boot/vmlinuz"}};
  host.folders = {"/boot", "/etc", "/home", "/opt", "/root", "/srv", "/usr", "/var"};
  host.etc = {"group",  "gshadow",    "hosts", "java-17-openjdk", "krb5.keytab", "passwd",     "resolv.conf",
              "shadow", "ssh",        "ssl",   "sudoers",         "sudoers.d",   "machine-id", "python3.11",
              "rc0.d",  "ld.so.cache"};
  return host;
}

RootSpec task() { return {"/srv/run/sandbox", "/srv/run/.logs", {}, {}}; }

std::vector<std::string> targets(const std::vector<MountOp>& ops, MountKind kind) {
  std::vector<std::string> found;
  for (const MountOp& op : ops) {
    if (op.kind == kind) found.push_back(op.target);
  }
  return found;
}

const MountOp& at(const std::vector<MountOp>& ops, const std::string& target) {
  const auto found = std::ranges::find(ops, target, &MountOp::target);
  EXPECT_NE(found, ops.end()) << target;
  static const MountOp kNothing;
  return found != ops.end() ? *found : kNothing;
}

std::ptrdiff_t position(const std::vector<MountOp>& ops, const std::string& target) {
  return std::ranges::find(ops, target, &MountOp::target) - ops.begin();
}

TEST(Root, ProgramsAreReadOnlyAndLinksStayLinks) {
  const auto ops = make_root(merged_usr(), task());
  EXPECT_TRUE(at(ops, "/usr").read_only);
  EXPECT_EQ(at(ops, "/usr").kind, MountKind::kBind);
  EXPECT_EQ(at(ops, "/bin").kind, MountKind::kSymlink);
  EXPECT_EQ(at(ops, "/bin").source, "usr/bin");
  EXPECT_THAT(targets(ops, MountKind::kSymlink), IsSupersetOf({"/lib", "/lib64", "/sbin"}));
}

TEST(Root, AHostWithRealBinFoldersGetsThemBound) {
  HostRoot host;
  host.folders = {"/bin", "/lib", "/lib64", "/sbin", "/usr"};
  const auto ops = make_root(host, task());
  EXPECT_THAT(targets(ops, MountKind::kBind), IsSupersetOf({"/bin", "/lib", "/lib64", "/sbin", "/usr"}));
}

TEST(Root, TheHostsOtherFoldersAreNotThere) {
  const auto ops = make_root(merged_usr(), task());
  for (const char* hidden : {"/boot", "/srv", "/var", "/vmlinuz", "/etc"})
    EXPECT_EQ(std::ranges::count(ops, hidden, &MountOp::target), 0) << hidden;
  EXPECT_EQ(at(ops, "/root").kind, MountKind::kFolder) << "an empty one, for programs that look for it";
}

TEST(Root, OfEtcOnlyWhatProgramsNeed) {
  const auto binds = targets(make_root(merged_usr(), task()), MountKind::kBind);
  EXPECT_THAT(binds, IsSupersetOf({"/etc/passwd", "/etc/group", "/etc/hosts", "/etc/resolv.conf", "/etc/ld.so.cache",
                                   "/etc/java-17-openjdk", "/etc/python3.11", "/etc/ssl/certs"}));
  for (const char* secret : {"/etc/shadow", "/etc/gshadow", "/etc/ssh", "/etc/sudoers", "/etc/sudoers.d", "/etc/ssl",
                             "/etc/ssl/private", "/etc/krb5.keytab", "/etc/machine-id"})
    EXPECT_THAT(binds, Not(Contains(secret)));
}

TEST(Root, ALinkOfEtcIntoUsrStaysALinkAndOthersAreFollowed) {
  HostRoot host = merged_usr();
  host.etc = {"localtime", "os-release", "resolv.conf"};
  host.links["/etc/localtime"] = "/usr/share/zoneinfo/Europe/Berlin";
  host.links["/etc/os-release"] = "../usr/lib/os-release";
  host.links["/etc/resolv.conf"] = "../run/systemd/resolve/stub-resolv.conf";
  const auto ops = make_root(host, task());
  EXPECT_EQ(at(ops, "/etc/localtime").kind, MountKind::kSymlink);
  EXPECT_EQ(at(ops, "/etc/localtime").source, "/usr/share/zoneinfo/Europe/Berlin");
  EXPECT_EQ(at(ops, "/etc/os-release").kind, MountKind::kSymlink);
  EXPECT_EQ(at(ops, "/etc/resolv.conf").kind, MountKind::kBind);
  EXPECT_TRUE(at(ops, "/etc/resolv.conf").optional) << "its service may not run";
}

TEST(Root, OnlyTheSandboxAndDeviceNodesAreWritableBinds) {
  RootSpec spec = task();
  spec.binds = {{"/data/models", "/models"}};
  for (const MountOp& op : make_root(merged_usr(), spec)) {
    if (op.kind != MountKind::kBind || op.read_only) continue;
    EXPECT_TRUE(op.devices || op.target == "/srv/run/sandbox") << op.target;
  }
}

TEST(Root, OnlyTheUsualDeviceNodesWork) {
  std::vector<std::string> devices;
  for (const MountOp& op : make_root(merged_usr(), task())) {
    if (op.devices) devices.push_back(op.target);
  }
  EXPECT_THAT(devices, ::testing::UnorderedElementsAre("/dev/null", "/dev/zero", "/dev/full", "/dev/random",
                                                       "/dev/urandom", "/dev/tty"));
}

TEST(Root, AskingForAUsualFolderSetsItsSize) {
  RootSpec spec = task();
  spec.tmpfs = {{"/tmp", 1 << 20, 100}, {"/scratch", 2 << 20, 0}};
  const auto ops = make_root(merged_usr(), spec);
  EXPECT_EQ(std::ranges::count(ops, "/tmp", &MountOp::target), 1);
  EXPECT_EQ(at(ops, "/tmp").options, "mode=1777,size=1048576,nr_inodes=100");
  EXPECT_EQ(at(ops, "/scratch").options, "mode=1777,size=2097152");
  EXPECT_EQ(at(ops, "/dev/shm").options, "mode=1777");
}

TEST(Root, TheSandboxComesLastSoThatNothingHidesIt) {
  RootSpec spec = {"/var/tmp/run/sandbox", "/var/tmp/run/.logs", {{"/data", "/var/tmp/run"}}, {{"/var", 0, 0}}};
  const auto ops = make_root(merged_usr(), spec);
  EXPECT_LT(position(ops, "/var"), position(ops, "/var/tmp"));
  EXPECT_LT(position(ops, "/var/tmp"), position(ops, "/var/tmp/run"));
  EXPECT_LT(position(ops, "/var/tmp/run"), position(ops, "/var/tmp/run/sandbox"));
  EXPECT_TRUE(at(ops, "/var/tmp/run/.logs").read_only);
}

TEST(Root, TheKernelsFilesAreMaskedAfterTheyAreMounted) {
  const auto ops = make_root(merged_usr(), task());
  const auto masks = targets(ops, MountKind::kMask);
  EXPECT_THAT(masks, IsSupersetOf({"/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/acpi", "/proc/sched_debug",
                                   "/proc/latency_stats", "/sys/firmware", "/sys/devices/virtual/powercap"}));
  for (const std::string path : {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}) {
    EXPECT_TRUE(at(ops, path).read_only) << path;
    EXPECT_LT(position(ops, "/proc"), position(ops, path));
  }
  EXPECT_TRUE(at(ops, "/sys").read_only);
}

TEST(Root, ThisHostHasARootToLookAt) {
  const HostRoot host = look_at_host_root();
  EXPECT_THAT(host.folders, Contains("/usr"));
  EXPECT_THAT(host.etc, Contains("passwd"));
  EXPECT_TRUE(host.links.contains("/bin") || std::ranges::count(host.folders, "/bin") == 1);
}

TEST(MountPoints, MustBeThereInWhatIsShownReadOnly) {
  const TempFolder host;
  ASSERT_TRUE(make_dirs(host / "data/folder"));
  ASSERT_TRUE(replace_file(host / "data/file", ""));
  const auto complaint = [&](std::vector<Bind> binds, std::vector<Tmpfs> tmpfs = {}) {
    RootSpec spec = task();
    spec.binds = std::move(binds);
    spec.tmpfs = std::move(tmpfs);
    const auto checked = check_mount_points(merged_usr(), spec);
    return checked ? "" : checked.error().message();
  };
  const Bind data{host / "data", "/data"};
  EXPECT_EQ(complaint({data, {"/usr", "/data/folder"}, {"/etc/passwd", "/data/file"}}), "");
  EXPECT_EQ(complaint({{"/usr", "/new"}, {"/usr", "/tmp/new/deep"}, {"/usr", "/etc/new"}}), "") << "on what is ours";
  EXPECT_EQ(complaint({{"/usr", "/usr/lib"}, {"/usr", "/lib/../lib"}, {"/etc/passwd", "/bin/bash"}}), "")
      << "also by a link";
  EXPECT_THAT(complaint({data, {"/usr", "/data/none"}}),
              HasSubstr("at /data/none: /data is shown read-only, and there is no " + (host / "data/none")));
  EXPECT_THAT(complaint({{"/usr", "/data/none"}, data}), "") << "it is hidden, not impossible";
  EXPECT_THAT(complaint({data, {"/usr", "/data/file"}}), HasSubstr("is a file and what would lie over it a folder"));
  EXPECT_THAT(complaint({data, {"/etc/passwd", "/data/folder"}}), HasSubstr("is a folder and what would"));
  EXPECT_THAT(complaint({data}, {{"/data/none"}}), "") << "a tmpfs comes before the binds";
  EXPECT_THAT(complaint({{"/etc", "/bin/no-such"}}), HasSubstr("there is no /usr/bin/no-such on the host"));
  EXPECT_THAT(complaint({}, {{"/usr/no-such"}}), HasSubstr("there is no /usr/no-such on the host"));
  EXPECT_THAT(complaint({{"/etc", "/sys/no-such"}}), HasSubstr("there is no /sys/no-such"));
}

}  // namespace
}  // namespace dewar
