#include "isolation/root.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <string_view>

#include "base/files.h"

namespace dewar {
namespace {

/// What programs need of /etc: names of users and services, name resolution, time, the dynamic linker, certificates,
/// the defaults of shells and languages. Whatever else a host keeps there (shadow, ssh, sudoers, private keys, other
/// services' passwords) is not the task's business, and each entry costs a mount. A star at the end stands for any
/// rest.
constexpr std::array<std::string_view, 28> kEtc = {
    "alternatives", "bash.bashrc", "ca-certificates", "debian_version", "fonts",       "group",        "host.conf",
    "hostname",     "hosts",       "java-*",          "ld.so.cache",    "ld.so.conf",  "ld.so.conf.d", "locale.alias",
    "locale.conf",  "localtime",   "mime.types",      "nsswitch.conf",  "os-release",  "passwd",       "perl",
    "profile",      "profile.d",   "protocols",       "python*",        "resolv.conf", "services",     "timezone"};

/// Of /etc/ssl all but the private keys.
constexpr std::array<std::string_view, 2> kEtcSsl = {"/etc/ssl/certs", "/etc/ssl/openssl.cnf"};

constexpr std::array<std::string_view, 3> kProgramFolders = {"opt", "sbin", "usr"};

constexpr std::array<std::string_view, 6> kDevices = {"/dev/full", "/dev/null",    "/dev/random",
                                                      "/dev/tty",  "/dev/urandom", "/dev/zero"};

/// What tells of, or works on, the whole host. The lists are the ones container runtimes agree on.
constexpr std::array<std::string_view, 11> kMaskedProc = {
    "/proc/acpi", "/proc/asound",     "/proc/interrupts",    "/proc/kcore",
    "/proc/keys", "/proc/key-users",  "/proc/latency_stats", "/proc/sched_debug",
    "/proc/scsi", "/proc/timer_list", "/proc/timer_stats"};
/// Beside what sets something: pressure, where anybody may have a thread of the kernel watch for him.
constexpr std::array<std::string_view, 9> kReadOnlyProc = {"/proc/bus",      "/proc/driver", "/proc/dynamic_debug",
                                                           "/proc/fs",       "/proc/irq",    "/proc/mtrr",
                                                           "/proc/pressure", "/proc/sys",    "/proc/sysrq-trigger"};
constexpr std::array<std::string_view, 5> kMaskedSys = {"/sys/firmware", "/sys/devices/virtual/powercap",
                                                        "/sys/kernel/debug", "/sys/kernel/security",
                                                        "/sys/kernel/tracing"};

constexpr std::uint32_t kTtyGroup = 5;  // on every Linux system

/// Who an image's host is, and how it finds others, is the host's business.
constexpr std::array<std::string_view, 3> kEtcOfImage = {"/etc/hostname", "/etc/hosts", "/etc/resolv.conf"};

bool matches(std::string_view pattern, std::string_view name) {
  if (pattern.ends_with('*')) return name.starts_with(pattern.substr(0, pattern.size() - 1));
  return pattern == name;
}

bool is_shown_of_etc(std::string_view name) {
  return std::ranges::any_of(kEtc, [&](std::string_view pattern) { return matches(pattern, name); });
}

/// Of what is in /.
bool is_program_folder(std::string_view name) {
  return name == "bin" || name.starts_with("lib") || std::ranges::find(kProgramFolders, name) != kProgramFolders.end();
}

MountOp mount(MountKind kind, std::string_view target, std::string options = "") {
  MountOp op;
  op.kind = kind;
  op.target = target;
  op.options = std::move(options);
  return op;
}

MountOp bind(std::string_view source, std::string_view target, bool read_only) {
  MountOp op = mount(MountKind::kBind, target);
  op.source = source;
  op.read_only = read_only;
  return op;
}

MountOp link(std::string_view to, std::string_view at) {
  MountOp op = mount(MountKind::kSymlink, at);
  op.source = to;
  return op;
}

MountOp if_there(MountOp op) {
  op.optional = true;
  return op;
}

MountOp tmpfs(const Tmpfs& asked) {
  std::string options = "mode=1777";
  if (asked.size > 0) options += ",size=" + std::to_string(asked.size);
  if (asked.inodes > 0) options += ",nr_inodes=" + std::to_string(asked.inodes);
  return mount(MountKind::kTmpfs, asked.target, options);
}

void add_programs(const HostRoot& host, std::vector<MountOp>& ops) {
  for (const std::string& path : host.folders) {
    if (is_program_folder(path.substr(1))) ops.push_back(bind(path, path, true));
  }
  for (const auto& [path, to] : host.links) {
    if (is_program_folder(path.substr(1))) ops.push_back(link(to, path));
  }
}

void add_etc(const HostRoot& host, std::vector<MountOp>& ops) {
  const auto add = [&](const std::string& path) { ops.push_back(if_there(bind(path, path, true))); };
  for (const std::string& name : host.etc) {
    if (!is_shown_of_etc(name)) continue;
    // A link into /usr stays one, which costs no mount. Others are followed now, and may lead nowhere.
    const auto to = host.links.find("/etc/" + name);
    if (to != host.links.end() && (to->second.starts_with("/usr/") || to->second.starts_with("../usr/"))) {
      ops.push_back(link(to->second, to->first));
    } else {
      add("/etc/" + name);
    }
  }
  for (const std::string_view path : kEtcSsl) add(std::string(path));
  ops.push_back(link("/proc/self/mounts", "/etc/mtab"));
}

void add_dev(std::uint32_t first_id, std::vector<MountOp>& ops) {
  // On a tmpfs of its own: over an image, nothing that the image has in its /dev shall be left.
  ops.push_back(mount(MountKind::kTmpfs, "/dev", "mode=0755,size=64k"));
  ops.back().read_only = true;
  for (const std::string_view path : kDevices) {
    ops.push_back(bind(path, path, false));
    ops.back().devices = true;
  }
  ops.push_back(mount(MountKind::kDevpts, "/dev/pts",
                      "newinstance,ptmxmode=0666,mode=0620,gid=" + std::to_string(first_id + kTtyGroup)));
  ops.push_back(mount(MountKind::kMqueue, "/dev/mqueue"));
  ops.push_back(link("pts/ptmx", "/dev/ptmx"));
  ops.push_back(link("/proc/self/fd", "/dev/fd"));
  ops.push_back(link("/proc/self/fd/0", "/dev/stdin"));
  ops.push_back(link("/proc/self/fd/1", "/dev/stdout"));
  ops.push_back(link("/proc/self/fd/2", "/dev/stderr"));
}

void add_kernel_views(std::vector<MountOp>& ops) {
  ops.push_back(mount(MountKind::kProc, "/proc"));
  for (const std::string_view path : kReadOnlyProc) ops.push_back(if_there(bind(path, path, true)));
  ops.push_back(mount(MountKind::kSysfs, "/sys"));
  ops.back().read_only = true;
  for (const std::string_view path : kMaskedProc) ops.push_back(if_there(mount(MountKind::kMask, path)));
  for (const std::string_view path : kMaskedSys) ops.push_back(if_there(mount(MountKind::kMask, path)));
}

/// The task's own groups, so that runtimes which size themselves by their limits find them. /sys/fs/cgroup is an empty
/// folder of the kernel's; on cgroup v1 it holds one folder for each controller.
void add_cgroups(const std::map<std::string, std::string>& cgroups, std::vector<MountOp>& ops) {
  if (cgroups.empty()) return;
  if (!cgroups.contains("")) {
    ops.push_back(mount(MountKind::kTmpfs, "/sys/fs/cgroup", "mode=0755,size=64k"));
    ops.back().read_only = true;
  }
  for (const auto& [name, folder] : cgroups) {
    ops.push_back(if_there(bind(folder, name.empty() ? "/sys/fs/cgroup" : "/sys/fs/cgroup/" + name, true)));
  }
}

/// The usual writable folders, private to the task, and those it asks for; asking for a usual one sets its size.
std::vector<Tmpfs> private_folders(const std::vector<Tmpfs>& asked) {
  constexpr std::uint64_t kRunSize = 64u << 20;
  std::vector<Tmpfs> all = {
      {.target = "/dev/shm"}, {.target = "/run", .size = kRunSize}, {.target = "/tmp"}, {.target = "/var/tmp"}};
  for (const Tmpfs& one : asked) {
    const auto usual = std::ranges::find(all, one.target, &Tmpfs::target);
    if (usual != all.end()) {
      *usual = one;
    } else {
      all.push_back(one);
    }
  }
  std::ranges::stable_sort(all, {}, [](const Tmpfs& one) { return std::ranges::count(one.target, '/'); });
  return all;
}

/// What lies below the place of a mount when its turn comes: the last one before it on the way there.
const MountOp* mount_below(const std::vector<MountOp>& ops, std::size_t which, const std::string& target) {
  const MountOp* below = nullptr;
  for (std::size_t i = 0; i < which; ++i) {
    const std::string& over = ops[i].target;
    const bool on_the_way = target.starts_with(over) && target.size() > over.size() && target[over.size()] == '/';
    if (on_the_way && (below == nullptr || over.size() >= below->target.size())) below = &ops[i];
  }
  return below;
}

Result<void> check_place(const std::vector<MountOp>& ops, std::size_t which) {
  std::string target = ops[which].target;
  const MountOp* below = mount_below(ops, which, target);
  if (below != nullptr && below->kind == MountKind::kSymlink) {  // "/bin" -> "usr/bin"
    target = (below->source.starts_with('/') ? "" : "/") + below->source + target.substr(below->target.size());
    below = mount_below(ops, which, target);
  }
  const bool is_view = below != nullptr && (below->kind == MountKind::kProc || below->kind == MountKind::kSysfs);
  if (below == nullptr || !(is_view || (below->kind == MountKind::kBind && below->read_only))) return {};
  const std::string place = (is_view ? below->target : below->source) + target.substr(below->target.size());
  struct stat there {
  }, source{};
  if (::stat(place.c_str(), &there) != 0) {
    return fail("nothing can be mounted at " + ops[which].target + ": " + below->target +
                " is shown read-only, and there is no " + place +
                " on the host to lie over (make one there, or choose another target)");
  }
  const bool folder = ops[which].kind != MountKind::kBind ||
                      (::stat(ops[which].source.c_str(), &source) == 0 && S_ISDIR(source.st_mode));
  if (folder == S_ISDIR(there.st_mode)) return {};
  return fail("nothing can be mounted at " + ops[which].target + ": " + place + " is a " +
              (folder ? "file and what would lie over it a folder" : "folder and what would lie over it a file"));
}

struct Entry {
  std::string path;
  mode_t type;  ///< S_IFDIR, S_IFLNK...
};

/// The chosen ones in `folder`, whose path ends with a slash.
std::vector<Entry> entries_in(const std::string& folder, bool (*is_chosen)(std::string_view name)) {
  std::vector<Entry> entries;
  DIR* const stream = ::opendir(folder.c_str());
  if (stream == nullptr) return entries;
  while (const dirent* entry = ::readdir(stream)) {
    if (!is_chosen(entry->d_name)) continue;
    Entry chosen{folder + entry->d_name, static_cast<mode_t>(DTTOIF(entry->d_type))};
    struct stat info {};
    if (entry->d_type == DT_UNKNOWN && ::lstat(chosen.path.c_str(), &info) == 0) chosen.type = info.st_mode & S_IFMT;
    entries.push_back(std::move(chosen));
  }
  ::closedir(stream);
  std::ranges::sort(entries, {}, &Entry::path);
  return entries;
}

void add_link(const std::string& path, HostRoot& host) {
  char to[PATH_MAX];
  const ssize_t length = ::readlink(path.c_str(), to, sizeof to);
  if (length > 0) host.links[path] = std::string(to, static_cast<std::size_t>(length));
}

}  // namespace

HostRoot look_at_host_root() {
  HostRoot host;
  for (const Entry& entry : entries_in("/etc/", is_shown_of_etc)) {
    host.etc.push_back(entry.path.substr(5));
    if (S_ISLNK(entry.type)) add_link(entry.path, host);
  }
  for (const Entry& entry : entries_in("/", is_program_folder)) {
    if (S_ISDIR(entry.type)) host.folders.push_back(entry.path);
    if (S_ISLNK(entry.type)) add_link(entry.path, host);
  }
  return host;
}

std::vector<MountOp> make_root(const HostRoot& host, const RootSpec& task) {
  std::vector<MountOp> ops;
  if (task.image) {
    for (const std::string_view path : kEtcOfImage) ops.push_back(if_there(bind(path, path, true)));
  } else {
    add_programs(host, ops);
    add_etc(host, ops);
    ops.push_back(mount(MountKind::kFolder, "/home", "mode=0755"));
    ops.push_back(mount(MountKind::kFolder, "/root", "mode=0700"));
    ops.push_back(link("/run", "/var/run"));
  }
  add_dev(task.first_id, ops);
  for (const DeviceRule& rule : task.devices) {
    ops.push_back(bind(rule.path, rule.path, false));
    ops.back().devices = true;
  }
  add_kernel_views(ops);
  add_cgroups(task.cgroups, ops);
  for (const Tmpfs& one : private_folders(task.tmpfs)) ops.push_back(tmpfs(one));
  for (const Bind& one : task.binds) ops.push_back(bind(one.source, one.target, true));
  // Last, so that nothing of the above can lie over them.
  ops.push_back(bind(task.sandbox_folder, task.sandbox_folder, false));
  ops.push_back(bind(task.log_folder, task.log_folder, true));
  return ops;
}

Result<void> check_mount_points(const HostRoot& host, const RootSpec& task) {
  const std::vector<MountOp> ops = make_root(host, task);
  const auto is_asked_for = [&](const MountOp& op) {
    return std::ranges::any_of(task.binds, [&](const Bind& bind) { return bind.target == op.target; }) ||
           std::ranges::any_of(task.tmpfs, [&](const Tmpfs& fs) { return fs.target == op.target; });
  };
  for (std::size_t i = 0; i < ops.size(); ++i) {
    if (ops[i].kind != MountKind::kSymlink && is_asked_for(ops[i])) DEWAR_TRY(check_place(ops, i));
  }
  return {};
}

std::vector<std::string> writable_places(const SandboxSpec& sandbox, const std::string& sandbox_folder) {
  if (!sandbox.root.path.empty() && sandbox.root.writable) return {"/"};
  // /dev for its nodes and queues, /proc for what a process may set of itself.
  std::vector<std::string> places = {"/dev", "/proc", sandbox_folder};
  for (const Tmpfs& one : private_folders(sandbox.tmpfs)) places.push_back(one.target);
  return places;
}

}  // namespace dewar
