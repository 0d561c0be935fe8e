#include "isolation/cgroup/host.h"

#include <libcgroup.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>
#include <array>
#include <memory>
#include <sstream>

#include "base/cgroup_members.h"
#include "base/files.h"
#include "isolation/cgroup/group_files.h"
#include "isolation/cgroup/mounts.h"
#include "isolation/cgroup/stat.h"

namespace dewar {
namespace {

/// Controllers that limit or measure a task. cpuacct only matters where no cgroup2 tells the cpu time.
constexpr std::array<std::string_view, 9> kWanted = {"cpu",  "cpuacct", "cpuset", "memory", "hugetlb",
                                                     "pids", "io",      "blkio",  "devices"};
/// Without one of these no task is run.
constexpr std::array<std::string_view, 3> kNeeded = {"cpu", "memory", "pids"};

bool is_wanted(std::string_view controller) { return std::ranges::find(kWanted, controller) != kWanted.end(); }

Failure libcgroup_failed(const std::string& doing, int code) {
  if (code == ECGOTHER) return fail({cgroup_get_last_errno(), std::generic_category()}, doing);
  if (code == ECGROUPNOTALLOWED) return fail(std::errc::operation_not_permitted, doing);
  return fail(doing + ": " + cgroup_strerror(code));
}

/// Adds what to do.
Failure advised(const std::string& doing, Error error) {
  std::string advice;
  const int number = error.code.value();
  if (number == EACCES || number == EPERM || number == EROFS)
    advice = " (run as root, with the cgroup file systems mounted writable)";
  if (number == EBUSY) advice = " (processes live in the group itself: cgroup2 wants them in groups of their own)";
  error.context.insert(0, doing + advice + ": ");
  return {std::move(error)};
}

// ---- Looking ----

/// What the kernel says of mounts and of ourselves.
struct Seen {
  std::vector<CgroupMount> mounts;
  std::map<std::string, std::string> own;

  const CgroupMount* unified() const {
    const auto found = std::ranges::find_if(mounts, &CgroupMount::v2);
    return found == mounts.end() ? nullptr : &*found;
  }
  /// The hierarchy of v1 that holds `controller` (or "name=systemd").
  const CgroupMount* v1(const std::string& controller) const {
    const auto found = std::ranges::find_if(mounts, [&](const CgroupMount& mount) {
      return !mount.v2 && std::ranges::find(mount.options, controller) != mount.options.end();
    });
    return found == mounts.end() ? nullptr : &*found;
  }
  /// The path below `mount` of the group we run in.
  std::string own_path(const CgroupMount& mount, const std::string& controller) const {
    const auto found = own.find(controller);
    return found == own.end() ? "" : path_below(mount, found->second);
  }
};

Result<Seen> look() {
  Seen seen;
  seen.mounts = parse_cgroup_mounts(DEWAR_TRY(read_file("/proc/self/mountinfo")));
  seen.own = parse_own_groups(DEWAR_TRY(read_file("/proc/self/cgroup")));
  return seen;
}

/// systemd marks what it has delegated (systemd.resource-control(5), Delegate=; the mark is described in its
/// CGROUP_DELEGATION document).
bool is_delegated(const std::string& folder) {
  for (const char* mark : {"user.delegate", "trusted.delegate"}) {
    char value = 0;
    if (::getxattr(folder.c_str(), mark, &value, 1) == 1 && value == '1') return true;
  }
  return false;
}

/// The path of the delegated group we run in, or "". The mark is in the hierarchy by which systemd tracks processes:
/// cgroup2 where there is one, else its own v1 hierarchy. A group further up is not ours although it may be delegated:
/// a user's session manager owns its own.
std::string delegated_path(const Seen& seen) {
  const CgroupMount* const unified = seen.unified();
  const CgroupMount* const mount = unified != nullptr ? unified : seen.v1("name=systemd");
  if (mount == nullptr) return "";
  std::string path = seen.own_path(*mount, unified != nullptr ? "" : "name=systemd");
  if (path.ends_with(std::string("/") + kCallersGroup)) path = parent_of(path);  // an earlier call has moved us
  return path.size() > 1 && is_delegated(mount->folder + path) ? path : "";
}

/// "/tasks/", or "/sys/fs/cgroup/memory/tasks" -> "/tasks"; "/" -> "".
Result<std::string> named_path(const Seen& seen, std::string below) {
  while (below.ends_with('/')) below.pop_back();
  for (const CgroupMount& mount : seen.mounts) {
    if (below == mount.folder) return std::string();
    if (below.starts_with(mount.folder + "/")) below.erase(0, mount.folder.size());
  }
  if (!below.empty() && !below.starts_with('/'))
    return fail("'" + below + "' names no cgroup: its path begins with '/', as in /proc/self/cgroup");
  std::istringstream parts(below);
  for (std::string part; std::getline(parts, part, '/');)
    if (part == "..") return fail("'" + below + "' names no cgroup: a path without '..' is wanted");
  return below;
}

std::vector<std::string> offered_controllers(const std::string& folder) {
  const auto text = read_file(folder + "/cgroup.controllers");
  std::istringstream words(text ? *text : "");
  std::vector<std::string> offered;
  for (std::string word; words >> word;)
    if (is_wanted(word)) offered.push_back(word);
  return offered;
}

/// In a hierarchy of v1 our subtree is at `path` if it was named, or if we run in it: a manager that delegates leaves
/// out the hierarchies that it does not manage.
std::string v1_subtree(const Seen& seen, const HostCgroups& host, const std::string& controller) {
  const CgroupMount* const mount = seen.v1(controller);
  if (mount == nullptr) return "";
  const std::string folder = mount->folder + host.path;
  const bool ours = host.subtree != Subtree::kDelegated || seen.own_path(*mount, controller) == host.path;
  return ours && exists(folder) ? folder : "";
}

// ---- Making ----

Result<void> make_v1_group(const std::string& controller, const std::string& mount, const std::string& folder) {
  if (exists(folder)) return {};
  // libcgroup first looks at all there is, and clears a megabyte for it: only for the first task on a host.
  if (const int code = cgroup_init(); code != 0)
    return libcgroup_failed("find this host's cgroups (mount them, usually at /sys/fs/cgroup)", code);
  const std::string name = folder.substr(mount.size() + 1);
  const auto free_group = [](cgroup* group) { cgroup_free(&group); };
  const std::unique_ptr<cgroup, decltype(free_group)> group(cgroup_new_cgroup(name.c_str()), free_group);
  if (!group || cgroup_add_controller(group.get(), controller.c_str()) == nullptr)
    return fail(std::errc::not_enough_memory, "make cgroup " + folder);
  if (const int code = cgroup_create_cgroup(group.get(), /*ignore_ownership=*/1); code != 0)
    return libcgroup_failed("make cgroup " + folder, code);
  DEWAR_TRY(inherit_cpuset(folder));
  // The kernel then gives each group below its parent's cores, which inherit_cpuset() would write into four files.
  if (controller == "cpuset") DEWAR_TRY(write_group_file(folder, "cgroup.clone_children", "1"));
  // Before Linux 5.11 a v1 group does not count its children unless it is told to.
  const auto hierarchy = read_file(folder + "/memory.use_hierarchy");
  if (hierarchy && hierarchy->starts_with("0")) return write_group_file(folder, "memory.use_hierarchy", "1");
  return {};
}

/// Moves the processes of the group itself, not those of the groups below, into its leaf for callers.
Result<void> vacate(const std::string& folder) {
  constexpr int kRounds = 100;  // processes that fork meanwhile are found in the next round
  for (int round = 0; round < kRounds; ++round) {
    const std::vector<pid_t> here = parse_pids(DEWAR_TRY(read_file(folder + "/cgroup.procs")));
    if (here.empty()) return {};
    const std::string leaf = folder + "/" + kCallersGroup;
    DEWAR_TRY(make_dirs(leaf));
    for (const pid_t pid : here) {
      const auto moved = write_group_file(leaf, "cgroup.procs", std::to_string(pid));
      if (!moved && moved.error().code != std::errc::no_such_process) return Failure{moved.error()};
    }
  }
  return fail(std::errc::device_or_resource_busy, "move the processes of " + folder + " into a group of their own");
}

/// Those that are not on yet, each by itself, so that an error names the controller.
Result<void> switch_on(const std::vector<std::string>& controllers, const std::string& folder) {
  std::istringstream words(DEWAR_TRY(read_file(folder + "/cgroup.subtree_control")));
  std::vector<std::string> on;
  for (std::string word; words >> word;) on.push_back(word);
  const auto is_on = [&](const std::string& controller) { return std::ranges::find(on, controller) != on.end(); };
  if (std::ranges::all_of(controllers, is_on)) return {};
  // The true top of a hierarchy may hold processes, and has no type.
  if (exists(folder + "/cgroup.type")) DEWAR_TRY(vacate(folder));
  for (const std::string& controller : controllers) {
    if (is_on(controller)) continue;
    DEWAR_TRY(write_group_file(folder, "cgroup.subtree_control", "+" + controller)
                  .context("switch on controller '" + controller + "'"));
  }
  return {};
}

/// By hand: libcgroup makes no cgroup2 group without controllers (it reports success and does nothing), and switches
/// them on only one level deep.
Result<void> make_v2_group(const HostCgroups& host, const std::string& folder) {
  DEWAR_TRY(switch_on(host.v2, host.unified));
  if (::mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST) return fail_errno("make cgroup " + folder);
  return switch_on(host.v2, folder);
}

Failure lacks(const HostCgroups& host, const std::string& controller) {
  if (host.path.empty())
    return fail("this host offers no cgroup controller '" + controller +
                "': enable it in the kernel (for memory: remove cgroup_disable=memory, add cgroup_enable=memory)");
  return fail("the cgroup '" + host.path + "' offers no controller '" + controller + "': " +
              (host.subtree == Subtree::kDelegated ? "delegate it too (Delegate=yes), or choose another with --cgroup"
                                                   : "give it one (cgroup2: in its parent's cgroup.subtree_control; "
                                                     "v1: make the group in that hierarchy too)"));
}

}  // namespace

Result<HostCgroups> look_at_host_cgroups(const std::string& below) {
  const Seen seen = DEWAR_TRY(look());
  HostCgroups host;
  host.path = below.empty() ? delegated_path(seen) : DEWAR_TRY(named_path(seen, below));
  if (!host.path.empty()) host.subtree = below.empty() ? Subtree::kDelegated : Subtree::kNamed;
  const CgroupMount* const unified = seen.unified();
  if (unified != nullptr && exists(unified->folder + host.path)) {
    host.unified = unified->folder + host.path;
    host.v2 = offered_controllers(host.unified);
  }
  for (const std::string_view wanted : kWanted) {
    const std::string controller(wanted);
    const std::string folder = v1_subtree(seen, host, controller);
    if (folder.empty() || (controller == "cpuacct" && !host.unified.empty())) continue;
    host.v1[controller] = folder;
    host.mounts[controller] = seen.v1(controller)->folder;
  }
  if (host.unified.empty() && host.v1.empty() && !host.path.empty())
    return fail("there is no cgroup '" + host.path + "' on this host: make it first, with mkdir" +
                (unified != nullptr ? " " + unified->folder + host.path : ""));
  return host;
}

Result<CgroupLayout> prepare_host_cgroups(const HostCgroups& host, const std::string& name) {
  for (const std::string_view needed : kNeeded) {
    const std::string controller(needed);
    if (std::ranges::find(host.v2, controller) == host.v2.end() && !host.v1.contains(controller))
      return lacks(host, controller);
  }
  CgroupLayout layout;
  for (const auto& [controller, folder] : host.v1) {
    layout.v1[controller] = folder + "/" + name;
    if (auto made = make_v1_group(controller, host.mounts.at(controller), layout.v1[controller]); !made)
      return advised("prepare cgroups '" + name + "'", std::move(made).error());
  }
  if (!host.unified.empty()) {
    layout.unified = host.unified + "/" + name;
    layout.v2 = host.v2;
    if (auto made = make_v2_group(host, layout.unified); !made)
      return advised("prepare cgroups '" + name + "'", std::move(made).error());
  }
  return layout;
}

Result<CgroupLayout> prepare_host_cgroups(const std::string& name, const std::string& below) {
  return prepare_host_cgroups(DEWAR_TRY(look_at_host_cgroups(below)), name);
}

}  // namespace dewar
