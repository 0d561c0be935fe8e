#include <sys/resource.h>

#include "tests/spec/reading.h"

namespace dewar {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using testing::UnorderedElementsAre;

SandboxSpec sandbox_of(const std::string& yaml) { return task_of(with_process("sandbox: " + yaml)).sandbox; }
std::vector<std::string> wrong_with(const std::string& yaml) { return complaints_of(with_process("sandbox: " + yaml)); }

TEST(Sandbox, ReadsEveryField) {
  const SandboxSpec sandbox = sandbox_of(R"(
  network: none
  binds: [/opt/tools/, "/srv/data:/data"]
  tmpfs: {/tmp: 64MB, /scratch: {size: 1MB, inodes: 100}, /empty: }
  environment: {LANG: C.UTF-8, EMPTY: , N: 1}
  rlimits: {nofile: 1024, core: [0, 8MB], cpu: unlimited}
  pids: 100
  cpu_quota: 1.5
  swap: 32MB
  cpuset: 0-1,3
  memory_soft: 64MB
  io: {weight: 50, read_bps: 1MB, write_bps: 2MB, read_iops: 30, write_iops: 40}
  hugetlb: {2MB: 64MB, 1GB: 1GB}
  oom_score_adj: -5
  devices: [/dev/kvm, "/dev/fuse:r"]
  inodes: 500
  log_quota: 10MB
  capabilities: [net_bind_service, CAP_CHOWN]
  seccomp: unconfined)");
  EXPECT_EQ(sandbox.network, Network::kNone);
  ASSERT_EQ(sandbox.binds.size(), 2u);
  EXPECT_EQ(sandbox.binds[0].source + " " + sandbox.binds[0].target, "/opt/tools /opt/tools");
  EXPECT_EQ(sandbox.binds[1].source + " " + sandbox.binds[1].target, "/srv/data /data");
  ASSERT_EQ(sandbox.tmpfs.size(), 3u);
  EXPECT_EQ(sandbox.tmpfs[0].target, "/tmp");
  EXPECT_EQ(sandbox.tmpfs[0].size, 64u << 20);
  EXPECT_EQ(sandbox.tmpfs[0].inodes, 0u);
  EXPECT_EQ(sandbox.tmpfs[1].inodes, 100u);
  EXPECT_EQ(sandbox.tmpfs[2].size, 0u);
  EXPECT_THAT(sandbox.environment, UnorderedElementsAre(Pair("LANG", "C.UTF-8"), Pair("EMPTY", ""), Pair("N", "1")));
  ASSERT_EQ(sandbox.rlimits.size(), 3u);
  EXPECT_EQ(sandbox.rlimits[0].resource, RLIMIT_NOFILE);
  EXPECT_EQ(sandbox.rlimits[0].soft, 1024u);
  EXPECT_EQ(sandbox.rlimits[0].hard, 1024u);
  EXPECT_EQ(sandbox.rlimits[1].soft, 0u);
  EXPECT_EQ(sandbox.rlimits[1].hard, 8u << 20);
  EXPECT_EQ(sandbox.rlimits[2].hard, ~std::uint64_t{0});
  EXPECT_EQ(sandbox.limits.pids, 100u);
  EXPECT_EQ(sandbox.limits.cpu_quota, 1.5);
  EXPECT_EQ(sandbox.limits.swap, 32u << 20);
  EXPECT_EQ(sandbox.limits.cpuset, "0-1,3");
  EXPECT_EQ(sandbox.limits.memory_soft, 64u << 20);
  EXPECT_EQ(sandbox.limits.io.weight, 50u);
  EXPECT_EQ(sandbox.limits.io.read_bps, 1u << 20);
  EXPECT_EQ(sandbox.limits.io.write_bps, 2u << 20);
  EXPECT_EQ(sandbox.limits.io.read_iops, 30u);
  EXPECT_EQ(sandbox.limits.io.write_iops, 40u);
  EXPECT_THAT(sandbox.limits.hugetlb, UnorderedElementsAre(Pair("2MB", 64u << 20), Pair("1GB", 1u << 30)));
  EXPECT_EQ(sandbox.oom_score_adj, -5);
  ASSERT_EQ(sandbox.devices.size(), 2u);
  EXPECT_EQ(sandbox.devices[0].path + " " + sandbox.devices[0].access, "/dev/kvm rw");
  EXPECT_EQ(sandbox.devices[1].path + " " + sandbox.devices[1].access, "/dev/fuse r");
  EXPECT_THAT(sandbox.keep_capabilities, ElementsAre("net_bind_service", "CAP_CHOWN"));
  EXPECT_EQ(sandbox.seccomp, "unconfined");
  EXPECT_EQ(sandbox.disk.inodes, 500u) << "of the sandbox folder, not of /tmp";
  EXPECT_EQ(sandbox.disk.logs, 10u << 20);
}

TEST(Sandbox, RefusesLimitsOfTheDiskThatAreNone) {
  for (const char* bad :
       {"inodes: 0", "inodes: -1", "inodes: many", "log_quota: 0", "log_quota: -1MB", "log_quota: [1]"})
    EXPECT_EQ(wrong_with("{" + std::string(bad) + "}").size(), 1u) << bad;
}

TEST(Sandbox, RefusesPathsThatAreNotPlain) {
  for (const char* bad :
       {"opt", "/a/../b", "/a/./b", "/a//b", "//a", "/a/..", "''", "'/a:b'", "'/a:/b/../c'", "':/a'"}) {
    EXPECT_EQ(wrong_with("{binds: [" + std::string(bad) + "]}").size(), 1u) << bad;
  }
  for (const char* made : {"/", "/proc", "/sys/fs", "/dev/", "'/opt:/dev/shm'"}) {
    EXPECT_THAT(wrong_with("{binds: [" + std::string(made) + "]}"), ElementsAre(HasSubstr("made by the sandbox")))
        << made;
  }
  EXPECT_THAT(wrong_with("{tmpfs: {/proc: 1MB}}"), ElementsAre(HasSubstr("made by the sandbox")));
  EXPECT_THAT(wrong_with("{binds: [/opt, '/srv:/opt']}"), ElementsAre(HasSubstr("'/opt' is bound twice")));
  EXPECT_EQ(sandbox_of("{tmpfs: {/dev/shm: 1MB}}").tmpfs.front().target, "/dev/shm") << "its size can be set";
  EXPECT_EQ(sandbox_of("{binds: [/devel, '/proc:/host-proc']}").binds.size(), 2u) << "only the target is reserved";
}

TEST(Sandbox, RefusesWhatTheKernelWouldRefuseLater) {
  EXPECT_THAT(wrong_with("{rlimits: {nofiles: 1}}"), ElementsAre(HasSubstr("did you mean 'nofile'?")));
  EXPECT_THAT(wrong_with("{rlimits: {nofile: [2, 1]}}"),
              ElementsAre(HasSubstr("the soft limit is above the hard one")));
  EXPECT_THAT(wrong_with("{rlimits: {nofile: [unlimited, 1]}}"), ElementsAre(HasSubstr("above the hard one")));
  EXPECT_THAT(wrong_with("{rlimits: {nofile: [1, 2, 3]}}"),
              ElementsAre(HasSubstr("must be one limit, or [soft, hard]")));
  EXPECT_THAT(wrong_with("{capabilities: [net_bind]}"), ElementsAre(HasSubstr("'net_bind' is no capability")));
  EXPECT_THAT(wrong_with("{environment: {1A: x, 'A=B': y}}").size(), 2u);
  EXPECT_THAT(wrong_with("{pids: 0}").size(), 1u);
  EXPECT_THAT(wrong_with("{cpu_quota: 0.001}").size(), 1u);
  EXPECT_THAT(wrong_with("{cpuset: 3-1}"), ElementsAre(HasSubstr("a list of cores like 0-3,8")));
  EXPECT_THAT(wrong_with("{memory_soft: 1KB}").size(), 1u);
  EXPECT_THAT(wrong_with("{io: {weight: 10001, read_bps: 1KB, write_iops: 0, weigth: 1}}").size(), 4u);
  EXPECT_THAT(wrong_with("{hugetlb: {2048KB: 2MB}}"), ElementsAre(HasSubstr("'2048KB' is no size of huge pages")));
  EXPECT_THAT(wrong_with("{hugetlb: {2MB: 3MB}}"), ElementsAre(HasSubstr("must be a multiple of 2MB")));
  EXPECT_THAT(wrong_with("{hugetlb: {2MB: 1MB, x: 1}}").size(), 2u);
  EXPECT_THAT(wrong_with("{oom_score_adj: 1001}").size(), 1u);
  EXPECT_THAT(wrong_with("{oom_score_adj: 1.5}").size(), 1u);
  for (const char* bad : {"kvm", "/dev", "/etc/passwd", "'/dev/kvm:x'", "'/dev/kvm:'", "/dev/../etc/passwd"})
    EXPECT_THAT(wrong_with("{devices: [" + std::string(bad) + "]}").size(), 1u) << bad;
  EXPECT_THAT(wrong_with("{devices: [/dev/kvm, '/dev/kvm:r']}"), ElementsAre(HasSubstr("given twice")));
  EXPECT_THAT(wrong_with("{network: bus}"), ElementsAre(HasSubstr("one of host, none, bridge")));
  EXPECT_THAT(wrong_with("{seccomp: lax}"), ElementsAre(HasSubstr("'strict', 'unconfined', or the absolute path")));
  EXPECT_THAT(wrong_with("{seccomp: /etc/../x}"), ElementsAre(HasSubstr("the absolute path of a profile file")));
  EXPECT_THAT(wrong_with("{tmpfs: {/x: {sise: 1MB}}}"), ElementsAre(HasSubstr("did you mean 'size'?")));
}

TEST(Sandbox, SeccompIsAProfileOrAFile) {
  EXPECT_EQ(sandbox_of("{network: host}").seccomp, "default");
  for (const char* profile : {"default", "strict", "unconfined", "/etc/dewar/profile.json"})
    EXPECT_EQ(sandbox_of("{seccomp: " + std::string(profile) + "}").seccomp, profile);
}

TEST(Sandbox, CapabilitiesThatWouldGiveAwayTheHostMustBeMeant) {
  for (const char* name : {"sys_admin", "SYS_PTRACE", "CAP_SYS_MODULE", "sys_rawio", "bpf", "perfmon"}) {
    const std::string list = "capabilities: [chown, " + std::string(name) + "]";
    EXPECT_THAT(wrong_with("{" + list + "}"), ElementsAre(HasSubstr("would give the task the whole host"))) << name;
    EXPECT_THAT(wrong_with("{" + list + ", seccomp: strict}"), ElementsAre(HasSubstr("the whole host"))) << name;
    EXPECT_EQ(sandbox_of("{" + list + ", seccomp: unconfined}").keep_capabilities.size(), 2u) << name;
  }
  EXPECT_EQ(sandbox_of("{capabilities: [net_bind_service, sys_time, mknod]}").keep_capabilities.size(), 3u);
}

TEST(Sandbox, ARootIsAPathOrAMap) {
  EXPECT_EQ(sandbox_of("{}").root.path, "");
  EXPECT_EQ(sandbox_of("{root: host}").root.path, "");
  EXPECT_EQ(sandbox_of("{root: /srv/image.tar}").root.path, "/srv/image.tar");
  const SandboxSpec sandbox = sandbox_of("{root: {path: /srv/layout/, tag: v1, writable: true}, user_namespace: true}");
  EXPECT_EQ(sandbox.root.path, "/srv/layout");
  EXPECT_EQ(sandbox.root.tag, "v1");
  EXPECT_TRUE(sandbox.root.writable);
  EXPECT_TRUE(sandbox.user_namespace);
  EXPECT_TRUE(sandbox.landlock);
  EXPECT_FALSE(sandbox_of("{landlock: false}").landlock);
}

TEST(Sandbox, SpeculationIsDeniedOnRequest) {
  EXPECT_FALSE(sandbox_of("{}").deny_speculation);
  EXPECT_TRUE(sandbox_of("{deny_speculation: true}").deny_speculation);
  EXPECT_THAT(wrong_with("{deny_speculation: maybe}"), ElementsAre(HasSubstr("true or false")));
}

TEST(Sandbox, ARootThatCannotBeOneIsToldOfAtOnce) {
  EXPECT_THAT(wrong_with("{root: image.tar}"), ElementsAre(HasSubstr("'host', or an absolute path")));
  EXPECT_THAT(wrong_with("{root: /srv/../etc}"), ElementsAre(HasSubstr("absolute path")));
  EXPECT_THAT(wrong_with("{root: /}"), ElementsAre(HasSubstr("more than any task may see")));
  EXPECT_THAT(wrong_with("{root: {tag: v1}}"), ElementsAre(HasSubstr("has no path")));
  EXPECT_THAT(wrong_with("{root: {path: /a, tga: v1}}"), ElementsAre(HasSubstr("tag")));
  EXPECT_THAT(wrong_with("{user_namespace: maybe}"), ElementsAre(HasSubstr("user_namespace")));
}

}  // namespace
}  // namespace dewar
