// What a caller may ask of a sandbox. Immutable values; isolation/ knows sandboxes, not tasks.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace dewar {

enum class Network : std::uint8_t {
  kHost,    ///< the host's network
  kNone,    ///< a network of its own with only a loopback device, which is up
  kBridge,  ///< a network of its own, joined to the host's by CNI plugins
};

/// Rates are per second and hold on `device`.
struct IoLimits {
  std::uint32_t weight = 0;                   ///< 1 to 10000, against other tasks that use the disk; usual: 100
  std::uint64_t read_bps = 0, write_bps = 0;  ///< bytes
  std::uint64_t read_iops = 0, write_iops = 0;
  std::string device = {};  ///< "8:0", the whole disk that holds the sandbox; found by whoever prepares the task
};

/// What the whole task may use. Zero means no limit, unless said otherwise.
struct Limits {
  double cpu = 0;                 ///< cores: the weight when the host is busy
  double cpu_quota = 0;           ///< cores: never more than this, even on an idle host
  std::uint64_t memory = 0;       ///< bytes; beyond it the whole task is killed together
  std::uint64_t swap = 0;         ///< bytes of swap on top of `memory`; zero means none at all
  std::uint64_t pids = 0;         ///< processes and threads
  std::uint64_t memory_soft = 0;  ///< bytes; beyond it the task is slowed and its memory reclaimed first
  std::string cpuset = {};        ///< "0-3,8": the only cores it runs on; empty: all
  IoLimits io = {};
  std::map<std::string, std::uint64_t> hugetlb = {};  ///< page size as the kernel spells it, "2MB" -> bytes
};

/// What the task may write. Zero means no limit.
struct DiskLimits {
  std::uint64_t bytes = 0, inodes = 0;  ///< of the sandbox folder (and of a private layer over its root)
  std::uint64_t logs = 0;               ///< bytes of output kept outside the sandbox
};

/// The file system that a task's root is made of.
struct RootImage {
  std::string path;       ///< a folder, a tar archive or an OCI image layout on the host; empty: the host's own root
  std::string tag;        ///< which image of a layout; empty: the only one
  bool writable = false;  ///< changes go to a private layer, counted by the disk limit
};

/// A device of the host, as a node of the same path in the sandbox.
struct DeviceRule {
  std::string path;           ///< "/dev/kvm"
  std::string access = "rw";  ///< of "r", "w" and "m" (mknod)
};

/// A folder or file of the host, shown read-only at `target` in the sandbox.
struct Bind {
  std::string source, target;
};

/// A private file system in memory. It counts as the task's memory.
struct Tmpfs {
  std::string target;
  std::uint64_t size = 0;    ///< bytes; 0: the kernel's default, half of the memory
  std::uint64_t inodes = 0;  ///< 0: the kernel's default
};

/// setrlimit(2), by the kernel's number. RLIM_INFINITY is ~0.
struct Rlimit {
  int resource = 0;
  std::uint64_t soft = 0, hard = 0;
};

/// Whom the task's processes run as; already looked up, so nobody needs NSS later.
struct User {
  std::string name;
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;  ///< supplementary
};

struct SandboxSpec {
  Limits limits;
  Network network = Network::kHost;
  std::vector<Bind> binds;
  std::vector<Tmpfs> tmpfs;                        ///< /tmp is always there; naming it sets its size
  std::map<std::string, std::string> environment;  ///< added to every process's environment
  std::vector<std::string> secrets;                ///< variables whose values are never shown, whatever their names
  std::vector<Rlimit> rlimits;
  std::vector<std::string> keep_capabilities;  ///< "CAP_NET_BIND_SERVICE", …; none by default
  std::string seccomp = "default";             ///< profile: default, strict, unconfined, or a Docker-style JSON file
  DiskLimits disk;
  RootImage root;
  std::vector<DeviceRule> devices;   ///< beside the usual ones
  bool user_namespace = false;       ///< root inside is nobody outside
  bool landlock = true;              ///< a second wall around the root, where the kernel has it
  bool enforce_ports = false;        ///< in the host's network: only the allotted ports can be bound
  bool deny_speculation = false;     ///< the processor runs none of its code ahead where that leaks (PR_SPEC_*)
  std::optional<int> oom_score_adj;  ///< -1000 to 1000; see proc(5)
};

template <class Coder>
void code(Coder& c, IoLimits& v) {
  c(v.weight, v.read_bps, v.write_bps, v.read_iops, v.write_iops, v.device);
}
template <class Coder>
void code(Coder& c, Limits& v) {
  c(v.cpu, v.cpu_quota, v.memory, v.swap, v.pids, v.memory_soft, v.cpuset, v.io, v.hugetlb);
}
template <class Coder>
void code(Coder& c, DiskLimits& v) {
  c(v.bytes, v.inodes, v.logs);
}
template <class Coder>
void code(Coder& c, RootImage& v) {
  c(v.path, v.tag, v.writable);
}
template <class Coder>
void code(Coder& c, DeviceRule& v) {
  c(v.path, v.access);
}
template <class Coder>
void code(Coder& c, Bind& v) {
  c(v.source, v.target);
}
template <class Coder>
void code(Coder& c, Tmpfs& v) {
  c(v.target, v.size, v.inodes);
}
template <class Coder>
void code(Coder& c, Rlimit& v) {
  c(v.resource, v.soft, v.hard);
}
template <class Coder>
void code(Coder& c, User& v) {
  c(v.name, v.uid, v.gid, v.groups);
}
template <class Coder>
void code(Coder& c, SandboxSpec& v) {
  c(v.limits, v.network, v.binds, v.tmpfs, v.environment, v.secrets, v.rlimits, v.keep_capabilities, v.seccomp, v.disk,
    v.root, v.devices, v.user_namespace, v.landlock, v.enforce_ports, v.oom_score_adj, v.deny_speculation);
}

}  // namespace dewar
