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
  kHost,  ///< the host's network
  kNone,  ///< a network of its own with only a loopback device, which is up
};

/// What the whole task may use. Zero means no limit, unless said otherwise.
struct Limits {
  double cpu = 0;            ///< cores: the weight when the host is busy
  double cpu_quota = 0;      ///< cores: never more than this, even on an idle host
  std::uint64_t memory = 0;  ///< bytes; beyond it the whole task is killed together
  std::uint64_t swap = 0;    ///< bytes of swap on top of `memory`; zero means none at all
  std::uint64_t pids = 0;    ///< processes and threads
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
  std::vector<Rlimit> rlimits;
  std::vector<std::string> keep_capabilities;  ///< "CAP_NET_BIND_SERVICE", …; none by default
  std::string seccomp = "default";             ///< profile: default, unconfined
};

template <class Coder>
void code(Coder& c, Limits& v) {
  c(v.cpu, v.cpu_quota, v.memory, v.swap, v.pids);
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
  c(v.limits, v.network, v.binds, v.tmpfs, v.environment, v.rlimits, v.keep_capabilities, v.seccomp);
}

}  // namespace dewar
