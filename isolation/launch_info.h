// The recipes that dewar-launch follows, as plain data. A recipe arrives on descriptor 3, a pipe: the bytes of
// encode_recipe(), then end-of-file. A pipe that ends early (the sender died) means: do nothing, leave no trace.
// Byte for byte in docs/formats.md.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/encoding.h"
#include "base/process.h"
#include "base/result.h"
#include "isolation/sandbox_spec.h"

namespace dewar {

/// Descriptors of the launcher: the ends of the pipes for stdout and stderr.
inline constexpr int kReadEnds[2] = {5, 6}, kWriteEnds[2] = {7, 8};

/// What a container's PID 1 is called (prctl(2), PR_SET_NAME) once all is made.
inline constexpr char kInitName[] = "dewar-init";

/// What launchers ring the runner's bell with: the status file says RUNNING, or that output was lost.
inline constexpr char kRunningBell = 'r', kLossBell = 'l';

inline constexpr std::uint32_t kIdCount = 65536;  ///< ids of one user namespace

enum class LogDestination : std::uint8_t { kFile, kConsole, kBoth, kNone };
enum class LogMode : std::uint8_t { kStandard, kRotate };
/// What becomes of output that cannot be kept as fast as it is written.
enum class WhenFull : std::uint8_t { kBlock, kDrop };

/// Where a process's stdout and stderr go; Thermos's Logger (reference: docs/task-file.md, "logger"), and what it
/// lacks.
struct LogPolicy {
  LogDestination destination = LogDestination::kFile;
  LogMode mode = LogMode::kStandard;
  std::uint64_t log_size = 100u << 20;  ///< bytes; rotate mode: a file is rotated once it has reached this
  std::uint32_t backups = 5;            ///< rotate mode: stdout.1 … stdout.<backups> are kept
  bool compress = true;                 ///< rotate mode: those are compressed
  std::uint64_t rate_limit = 0;         ///< bytes per second, of both streams; 0: none
  WhenFull when_full = WhenFull::kBlock;
  bool journald = false;  ///< a copy goes to the host's journal
};

/// No value that means nothing.
bool sensible(const LogPolicy& policy);

/// How one run's output is kept.
struct LogRecipe {
  LogPolicy policy;
  std::string folder;            ///< host folder for stdout, stderr and index; exists
  std::uint64_t quota = 0;       ///< bytes that the output of the whole task may take; 0: no limit
  std::string counter;           ///< with a quota: what its attempts count in; see isolation/log_quota.h
  std::uint64_t host_quota = 0;  ///< the same for all tasks of the work dir
  std::string host_counter;
  std::string compressor;      ///< absolute path of dewar-compress; empty: nothing is compressed
  std::string journal;         ///< socket of journald; empty: no copy
  std::string journal_fields;  ///< "TASK=…\nPROCESS=…\nRUN=…\n": what each of its entries has
};

enum class MountKind : std::uint8_t {
  kBind,   ///< host `source` (file or folder, with what is mounted below it) at `target`
  kTmpfs,  ///< `options` as for mount(2): "mode=0755,size=65536"
  kProc,
  kSysfs,
  kDevpts,
  kMqueue,
  kSymlink,  ///< `target` becomes a symbolic link to `source`
  kFolder,   ///< an empty folder, with `mode`
  kMask,     ///< hides `target`: an empty read-only folder, or /dev/null over a file
};

/// One step of building the new root. `target` is a path inside it; missing folders on the way are made.
struct MountOp {
  MountKind kind = MountKind::kBind;
  std::string source, target, options;
  bool read_only = false;
  bool optional = false;  ///< skipped when `source` (kMask: `target`) does not exist
  bool devices = false;   ///< device nodes work (binds of /dev/null and the like only)
};

/// Makes a container of the namespaces that the launcher was born in as PID 1. It answers on descriptor 4 with one
/// LaunchReport, and stays, without any right, and reaps orphans until it is killed.
struct ContainerRecipe {
  std::string root;             ///< an empty host folder; the new root is built on what is mounted there
  std::string image;            ///< a host folder that the root shows, never changed; empty: the root is a tmpfs
  std::string layer;            ///< a host folder that takes the changes to `image`; empty: the root is read-only
  std::uint32_t first_id = 0;   ///< kIdCount ids from here on are 0, 1, … inside; 0: no user namespace
  std::vector<MountOp> mounts;  ///< in this order
  std::string hostname;
  Network network = Network::kHost;
  std::vector<std::string> v1_roots;    ///< cgroup v1 folders it is in while it makes the cgroup namespace, whose roots
                                        ///< they become
  std::vector<std::string> v1_cgroups;  ///< cgroup v1 folders that it joins then
};

/// A question by HTTP to whoever listens at the loopback address of the network it is asked in.
struct HttpProbe {
  std::uint16_t port = 0;
  std::string path;                 ///< "/health"
  std::string expected_body;        ///< compared without case and surrounding blanks; empty: any
  std::uint32_t expected_code = 0;  ///< 0: any
  std::chrono::nanoseconds timeout{};
};

/// Starts one attempt (one run of one process) in a container whose PID 1's pidfd is descriptor 4. The launcher's
/// parent half stays outside: it reaps the attempt, pumps its output, clears its cgroup when it has ended, and appends
/// each stage to `status_file`. SIGUSR1 tells it that the attempt is being stopped: then it does not kill what the
/// ended process has left, but waits until that has ended too. While it runs, its descriptors 5 and 6 are those that
/// read from the pipes, so that a runner that takes over can get them (pidfd_getfd(2)).
struct AttemptRecipe {
  ProcessId launcher;              ///< who follows it, where the sender knows that already; otherwise it looks itself
  std::vector<std::string> argv;   ///< argv[0] is the absolute path that is executed
  std::vector<std::string> env;    ///< NAME=VALUE
  std::string cwd;                 ///< inside the container
  User user;                       ///< ids as the host numbers them, also in a user namespace
  std::uint32_t first_id = 0;      ///< as in the container's recipe
  std::uint64_t capabilities = 0;  ///< bit n: keep capability n (in all five sets)
  std::vector<Rlimit> rlimits;
  std::vector<std::string> writable;    ///< Landlock: all else can only be read and executed; empty: no Landlock
  std::optional<int> oom_score_adj;     ///< see proc(5)
  bool deny_speculation = false;        ///< see confine.h
  std::string seccomp;                  ///< struct sock_filter[] as bytes; empty: no filter
  std::string unified_cgroup;           ///< the attempt's leaf in cgroup2; empty: none
  std::vector<std::string> v1_cgroups;  ///< cgroup v1 folders that it joins
  std::string sweep_cgroup;             ///< a leaf of its own, of either version: all in it is killed at the end
  LogRecipe logs;
  std::string status_file;         ///< made by the launcher (O_EXCL); see isolation/attempt_status.h
  std::string bell;                ///< a FIFO that gets one of the bytes above; empty: nobody waits for it
  bool has_pipes = false;          ///< for stdout and stderr: descriptors 5 and 6 read from them, 7 and 8 write to them
  std::optional<HttpProbe> probe;  ///< asked instead of executing `argv`; see isolation/launch/http_probe.h
  bool on_host = false;            ///< a program of ours, not of the task: joins its cgroups but none of its namespaces
};

/// Goes on for an attempt's launcher that was killed: moves what is left in the pipes, descriptors 5 and 6, into the
/// log, and notes what may be missing.
struct DrainRecipe {
  LogRecipe logs;
  std::string status_file;  ///< of the run; locked meanwhile, so that nobody else does the same
  bool has_pipes = true;    ///< false: they went with the launcher, and what was in them
};

using Recipe = std::variant<ContainerRecipe, AttemptRecipe, DrainRecipe>;

/// A recipe with its magic, version, length and CRC-32C.
std::string encode_recipe(const Recipe& recipe);
/// Errors: EBADMSG, with the words what does not fit.
Result<Recipe> decode_recipe(std::string_view bytes);

template <class Coder>
void code(Coder& c, LogPolicy& v) {
  c(v.destination, v.mode, v.log_size, v.backups, v.compress, v.rate_limit, v.when_full, v.journald);
}
template <class Coder>
void code(Coder& c, LogRecipe& v) {
  c(v.policy, v.folder, v.quota, v.counter, v.host_quota, v.host_counter, v.compressor, v.journal, v.journal_fields);
}
template <class Coder>
void code(Coder& c, MountOp& v) {
  c(v.kind, v.source, v.target, v.options, v.read_only, v.optional, v.devices);
}
template <class Coder>
void code(Coder& c, ContainerRecipe& v) {
  c(v.root, v.image, v.layer, v.first_id, v.mounts, v.hostname, v.network, v.v1_roots, v.v1_cgroups);
}
template <class Coder>
void code(Coder& c, HttpProbe& v) {
  c(v.port, v.path, v.expected_body, v.expected_code, v.timeout);
}
template <class Coder>
void code(Coder& c, AttemptRecipe& v) {
  c(v.launcher, v.argv, v.env, v.cwd, v.user, v.first_id, v.capabilities, v.rlimits, v.writable, v.oom_score_adj,
    v.deny_speculation, v.seccomp, v.unified_cgroup, v.v1_cgroups, v.sweep_cgroup, v.logs, v.status_file, v.bell,
    v.has_pipes, v.probe, v.on_host);
}
template <class Coder>
void code(Coder& c, DrainRecipe& v) {
  c(v.logs, v.status_file, v.has_pipes);
}

}  // namespace dewar
