#include "isolation/cgroup/host.h"

#include <libcgroup.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <array>
#include <memory>
#include <sstream>

#include "base/files.h"
#include "isolation/cgroup/members.h"

namespace dewar {
namespace {

/// Controllers that limit or measure a task. cpuacct only matters where no cgroup2 tells the cpu time.
constexpr std::array<std::string_view, 5> kWanted = {"cpu", "cpuacct", "memory", "pids", "io"};

struct Mounts {
  std::string unified;                    ///< of cgroup2
  std::vector<std::string> v2;            ///< wanted controllers it offers
  std::map<std::string, std::string> v1;  ///< wanted controller -> mount point
};

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

bool is_cgroup2(const std::string& folder) {
  struct statfs info {};
  return ::statfs(folder.c_str(), &info) == 0 && info.f_type == CGROUP2_SUPER_MAGIC;
}

/// libcgroup lists controllers, so it does not see a cgroup2 that holds none (hybrid hosts): /proc/self/mounts does.
std::string find_unified() {
  const auto mounts = read_file("/proc/self/mounts");
  std::istringstream lines(mounts ? *mounts : "");
  for (std::string source, folder, type, rest; lines >> source >> folder >> type && std::getline(lines, rest);) {
    if (type == "cgroup2") return folder;
  }
  return "";
}

Result<Mounts> find_mounts() {
  Mounts found;
  found.unified = find_unified();
  void* position = nullptr;
  cgroup_mount_point mount{};
  int code = cgroup_get_controller_begin(&position, &mount);
  const auto end = [](void** handle) { cgroup_get_controller_end(handle); };
  const std::unique_ptr<void*, decltype(end)> finish(&position, end);
  for (; code == 0; code = cgroup_get_controller_next(&position, &mount)) {
    if (std::ranges::find(kWanted, mount.name) == kWanted.end()) continue;
    if (is_cgroup2(mount.path)) {
      found.v2.emplace_back(mount.name);
    } else {
      found.v1[mount.name] = mount.path;
    }
  }
  if (code != ECGEOF) return libcgroup_failed("list this host's cgroup controllers", code);
  if (!found.unified.empty()) found.v1.erase("cpuacct");
  return found;
}

Result<void> make_v1_group(const std::string& controller, const std::string& mount, const std::string& name) {
  const std::string folder = mount + "/" + name;
  if (exists(folder)) return {};
  const auto free_group = [](cgroup* group) { cgroup_free(&group); };
  const std::unique_ptr<cgroup, decltype(free_group)> group(cgroup_new_cgroup(name.c_str()), free_group);
  if (!group || cgroup_add_controller(group.get(), controller.c_str()) == nullptr)
    return fail(std::errc::not_enough_memory, "make cgroup " + folder);
  if (const int code = cgroup_create_cgroup(group.get(), /*ignore_ownership=*/1); code != 0)
    return libcgroup_failed("make cgroup " + folder, code);
  // Before Linux 5.11 a v1 group does not count its children unless it is told to.
  const auto hierarchy = read_file(folder + "/memory.use_hierarchy");
  if (hierarchy && hierarchy->starts_with("0")) return write_group_file(folder, "memory.use_hierarchy", "1");
  return {};
}

/// Each by itself, so that an error names the controller.
Result<void> switch_on(const std::vector<std::string>& controllers, const std::string& folder) {
  for (const std::string& controller : controllers)
    DEWAR_TRY(write_group_file(folder, "cgroup.subtree_control", "+" + controller)
                  .context("switch on controller '" + controller + "'"));
  return {};
}

/// By hand: libcgroup makes no cgroup2 group without controllers (it reports success and does nothing), and switches
/// them on only one level deep.
Result<void> make_v2_group(const Mounts& mounts, const std::string& name) {
  const std::string folder = mounts.unified + "/" + name;
  DEWAR_TRY(switch_on(mounts.v2, mounts.unified));
  if (::mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST) return fail_errno("make cgroup " + folder);
  return switch_on(mounts.v2, folder);
}

}  // namespace

Result<CgroupLayout> prepare_host_cgroups(const std::string& name) {
  if (const int code = cgroup_init(); code != 0)
    return libcgroup_failed("find this host's cgroups (mount them, usually at /sys/fs/cgroup)", code);
  const Mounts mounts = DEWAR_TRY(find_mounts());
  CgroupLayout layout;
  for (const auto& [controller, mount] : mounts.v1) {
    if (auto made = make_v1_group(controller, mount, name); !made)
      return advised("prepare cgroups '" + name + "'", std::move(made).error());
    layout.v1[controller] = mount + "/" + name;
  }
  if (!mounts.unified.empty()) {
    if (auto made = make_v2_group(mounts, name); !made)
      return advised("prepare cgroups '" + name + "'", std::move(made).error());
    layout.v2 = mounts.v2;
    layout.unified = mounts.unified + "/" + name;
  }
  for (const std::string_view needed : {"cpu", "memory", "pids"}) {
    const bool there =
        std::ranges::find(layout.v2, needed) != layout.v2.end() || layout.v1.contains(std::string(needed));
    if (!there)
      return fail("this host offers no cgroup controller '" + std::string(needed) +
                  "': enable it in the kernel (for memory: remove cgroup_disable=memory, add cgroup_enable=memory)");
  }
  return layout;
}

}  // namespace dewar
