#include "isolation/cgroup/cgroup.h"

#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "base/cgroup_members.h"
#include "base/files.h"
#include "isolation/cgroup/group_files.h"

namespace dewar {
namespace {

/// A name that cannot lead out of its folder and is no control file's: those all have a dot.
bool is_group_name(const std::string& name) {
  return !name.empty() && name.size() <= 200 && name.find('/') == std::string::npos && name[0] != '.';
}

}  // namespace

Cgroup Cgroup::named(const CgroupLayout& layout, const std::string& name) {
  Cgroup group;
  if (!layout.unified.empty()) group.unified_ = layout.unified + "/" + name;
  group.v2_ = layout.v2;
  for (const auto& [controller, folder] : layout.v1) group.v1_.push_back({controller, folder + "/" + name, true});
  return group;
}

Cgroup Cgroup::leaf(const std::string& name, bool measured) const {
  Cgroup leaf = *this;
  leaf.leaf_ = true;
  if (!unified_.empty()) leaf.unified_ += "/" + name;
  // cgroup2 tells cpu time even where v1 holds the cpu controllers. Controllers mounted together share a folder.
  std::set<std::string> split;
  for (const V1& v1 : v1_) {
    const bool counts = v1.controller == "memory" || (v1.controller == "cpuacct" && unified_.empty());
    if (measured ? counts : v1.folder == sweep_folder()) split.insert(v1.folder);
  }
  for (V1& v1 : leaf.v1_) {
    v1.own = split.contains(v1.folder);
    if (v1.own) v1.folder += "/" + name;
  }
  return leaf;
}

/// Every folder that is this group's alone, once; the one that is swept first comes first.
std::vector<std::string> Cgroup::own_folders() const {
  std::vector<std::string> folders;
  if (!unified_.empty()) folders.push_back(unified_);
  const auto add = [&](const V1& v1) {
    if (v1.own && std::ranges::find(folders, v1.folder) == folders.end()) folders.push_back(v1.folder);
  };
  for (const V1& v1 : v1_) {
    if (v1.controller == "memory") add(v1);
  }
  for (const V1& v1 : v1_) add(v1);
  return folders;
}

Result<void> Cgroup::make() const {
  std::vector<std::string> made;
  const auto make_all = [&]() -> Result<void> {
    for (const std::string& folder : own_folders()) {
      if (::mkdir(folder.c_str(), 0755) != 0) return fail_errno("make cgroup " + folder);
      made.push_back(folder);
    }
    const Place cpuset = place_of("cpuset");
    return cpuset.version == CgroupVersion::kV1 && !cpuset.folder.empty() ? inherit_cpuset(cpuset.folder)
                                                                          : Result<void>{};
  };
  auto all = make_all();
  if (!all) {
    for (const std::string& done : made) (void)remove_group(done);
  }
  return all;
}

Result<Cgroup> Cgroup::create(const CgroupLayout& layout, const std::string& name) {
  if (!is_group_name(name)) return fail(std::errc::invalid_argument, "name a cgroup '" + name + "'");
  Cgroup group = named(layout, name);
  if (group.own_folders().empty())
    return fail(std::errc::not_supported, "make cgroup '" + name + "': no cgroup hierarchy is known on this host");
  DEWAR_TRY(group.make());
  std::string switches;
  for (const std::string& controller : layout.v2) switches += (switches.empty() ? "+" : " +") + controller;
  if (switches.empty()) return group;
  if (auto on = write_group_file(group.unified_, "cgroup.subtree_control", switches); !on) {
    (void)group.remove();
    return Failure{std::move(on).context("give " + group.unified_ + " its controllers").error()};
  }
  return group;
}

Result<Cgroup> Cgroup::find(const CgroupLayout& layout, const std::string& name) {
  if (!is_group_name(name)) return fail(std::errc::invalid_argument, "name a cgroup '" + name + "'");
  Cgroup group = named(layout, name);
  if (std::ranges::none_of(group.own_folders(), exists))
    return fail(std::errc::no_such_file_or_directory, "find cgroup '" + name + "'");
  return group;
}

Result<Cgroup> Cgroup::create_leaf(const std::string& name, bool measured) const {
  if (!is_group_name(name)) return fail(std::errc::invalid_argument, "name a cgroup '" + name + "'");
  Cgroup made = leaf(name, measured);
  DEWAR_TRY(made.make());
  return made;
}

Result<Cgroup> Cgroup::find_leaf(const std::string& name) const {
  if (!is_group_name(name)) return fail(std::errc::invalid_argument, "name a cgroup '" + name + "'");
  Cgroup found = leaf(name);
  if (std::ranges::none_of(found.own_folders(), exists))
    return fail(std::errc::no_such_file_or_directory, "find cgroup '" + name + "' below " + sweep_folder());
  return found;
}

std::vector<std::string> Cgroup::leaves() const {
  std::set<std::string> names;
  for (const std::string& folder : own_folders()) {
    for (const std::string& name : child_groups(folder)) names.insert(name);
  }
  return {names.begin(), names.end()};
}

std::vector<std::string> Cgroup::v1_folders() const {
  // The swept folder first: from then on whoever joins is found by kill_all().
  std::vector<std::string> folders = own_folders();
  if (!unified_.empty()) folders.erase(folders.begin());
  for (const V1& v1 : v1_) {
    if (std::ranges::find(folders, v1.folder) == folders.end()) folders.push_back(v1.folder);
  }
  return folders;
}

const std::string& Cgroup::sweep_folder() const {
  if (!unified_.empty()) return unified_;
  const auto memory = std::ranges::find_if(v1_, [](const V1& v1) { return v1.own && v1.controller == "memory"; });
  const auto any = memory != v1_.end() ? memory : std::ranges::find_if(v1_, &V1::own);
  return any != v1_.end() ? any->folder : unified_;
}

Cgroup::Place Cgroup::place_of(std::string_view controller) const {
  if (std::ranges::find(v2_, controller) != v2_.end()) return {CgroupVersion::kV2, unified_};
  const auto v1 = std::ranges::find_if(
      v1_, [&](const V1& entry) { return entry.own && entry.controller == v1_controller(controller); });
  return {CgroupVersion::kV1, v1 == v1_.end() ? "" : v1->folder};
}

Result<int> Cgroup::signal_all(int signal) const { return signal_members(sweep_folder(), signal); }

Result<void> Cgroup::kill_all(int timeout_ms) const { return kill_members(sweep_folder(), timeout_ms); }

Result<bool> Cgroup::empty() const { return !DEWAR_TRY(has_members(sweep_folder())); }

Result<void> Cgroup::remove() {
  for (const std::string& folder : own_folders()) DEWAR_TRY(remove_group(folder));
  return {};
}

}  // namespace dewar
