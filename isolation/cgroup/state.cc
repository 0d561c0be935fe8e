// What somebody else may have done to a group, and which devices it may use.
#include <fcntl.h>

#include <set>

#include "base/cgroup_members.h"
#include "base/files.h"
#include "isolation/bpf.h"
#include "isolation/cgroup/cgroup.h"
#include "isolation/cgroup/group_files.h"
#include "isolation/cgroup/stat.h"

namespace dewar {
namespace {

bool reads_one(const std::string& file) {
  const auto text = read_file(file);
  return text && parse_number(*text) == 1;
}

/// v1 begins with the list of the group above.
Result<void> allow_in_v1(const std::string& folder, const std::vector<DeviceGrant>& grants) {
  DEWAR_TRY(write_group_file(folder, "devices.deny", "a"));
  const std::string path = folder + "/devices.allow";
  const UniqueFd allow = DEWAR_TRY(open_file(path, O_WRONLY | O_NOFOLLOW));
  for (const DeviceGrant& grant : grants) DEWAR_TRY(write_once(allow.get(), v1_line(grant), path));
  return {};
}

Result<void> allow_in_v2(const std::string& folder, const std::vector<DeviceGrant>& grants) {
  const auto code = DEWAR_TRY(device_program(grants));
  const UniqueFd program = DEWAR_TRY(load_bpf(code, BPF_PROG_TYPE_CGROUP_DEVICE, BPF_CGROUP_DEVICE, "dewar_devices"));
  return attach_bpf(program, BPF_CGROUP_DEVICE, folder);
}

}  // namespace

Result<void> Cgroup::allow_devices(const std::vector<DeviceGrant>& grants) {
  const Place place = place_of("devices");
  if (!place.folder.empty()) return allow_in_v1(place.folder, grants);
  if (!unified_.empty()) return allow_in_v2(unified_, grants);
  return fail(std::errc::not_supported, "allow only some devices: mount cgroup v1's controller 'devices', or cgroup2");
}

std::int64_t Cgroup::soft_limit_hits() const {
  const Place place = place_of("memory");
  if (place.version == CgroupVersion::kV1 || place.folder.empty()) return 0;
  const auto events = read_file(place.folder + "/memory.events");
  return events ? parse_field(*events, "high") : 0;
}

std::int64_t Cgroup::huge_pages_refused() const {
  const Place place = place_of("hugetlb");
  const auto names = place.folder.empty() ? fail("") : list_dir(place.folder);
  std::int64_t sum = 0;
  for (const std::string& name : names ? *names : std::vector<std::string>{}) {
    if (!name.starts_with("hugetlb.") || (!name.ends_with(".events") && !name.ends_with(".failcnt"))) continue;
    const auto text = read_file(place.folder + "/" + name);
    if (text) sum += name.ends_with(".events") ? parse_field(*text, "max") : parse_number(*text);
  }
  return sum;
}

std::string Cgroup::missing_folder() const {
  for (const std::string& folder : own_folders()) {
    if (!exists(folder)) return folder;
  }
  return "";
}

int Cgroup::hierarchies() const {
  std::set<std::string> folders;
  for (const V1& v1 : v1_) folders.insert(v1.folder);
  return static_cast<int>(folders.size()) + (unified_.empty() ? 0 : 1);
}

bool Cgroup::is_frozen() const {
  if (unified_.empty()) return false;
  if (reads_one(unified_ + "/cgroup.freeze")) return true;
  for (const std::string& name : child_groups(unified_)) {
    if (reads_one(unified_ + "/" + name + "/cgroup.freeze")) return true;
  }
  return false;
}

bool Cgroup::thaw() const {
  if (!is_frozen()) return false;
  (void)write_group_file(unified_, "cgroup.freeze", "0");
  for (const std::string& name : child_groups(unified_))
    (void)write_group_file(unified_ + "/" + name, "cgroup.freeze", "0");
  return true;
}

}  // namespace dewar
