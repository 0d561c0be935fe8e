// What the cgroups of this host are set to, to tell whether somebody has touched them.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"

namespace dewar {

/// Folders, owners, modes and settings of every group below some folders: path -> what is there. Counters are left out,
/// since they change by themselves; who lives in a group is taken in only with `members`, for groups that the test
/// alone knows.
class CgroupRecord {
 public:
  /// Everything below `roots` but what is at or below one of `apart`.
  CgroupRecord(const std::vector<std::string>& roots, std::vector<std::string> apart, bool members)
      : apart_(std::move(apart)), members_(members) {
    for (const std::string& root : roots) {
      std::error_code ignored;
      const std::string real = std::filesystem::canonical(root, ignored);
      if (!ignored) take(real);
    }
  }

  std::size_t size() const { return seen_.size(); }

  /// A line for each thing that is new, gone or different in `later`; empty when nothing is.
  std::vector<std::string> changes(const CgroupRecord& later) const {
    std::vector<std::string> lines;
    for (const auto& [path, what] : seen_) {
      const auto now = later.seen_.find(path);
      if (now == later.seen_.end()) {
        lines.push_back(path + " is gone");
      } else if (now->second != what) {
        lines.push_back(path + " was '" + what + "' and is '" + now->second + "'");
      }
    }
    for (const auto& [path, what] : later.seen_)
      if (!seen_.contains(path)) lines.push_back(path + " is new");
    return lines;
  }

 private:
  void take(const std::string& folder) {
    for (const std::string& apart : apart_)
      if (folder == apart || folder.starts_with(apart + "/")) return;
    struct stat info {};
    if (::lstat(folder.c_str(), &info) != 0) return;
    seen_[folder] = owner_of(info);
    const auto names = list_dir(folder);
    for (const std::string& name : names ? *names : std::vector<std::string>{}) {
      const std::string path = folder + "/" + name;
      if (::lstat(path.c_str(), &info) != 0) continue;
      if (S_ISDIR(info.st_mode)) take(path);
      if (S_ISREG(info.st_mode)) take_file(path, name, info);
    }
  }

  void take_file(const std::string& path, const std::string& name, const struct stat& info) {
    std::string& what = seen_[path];
    what = owner_of(info);
    constexpr mode_t kSetting = S_IRUSR | S_IWUSR;
    if ((info.st_mode & kSetting) != kSetting) return;
    constexpr std::string_view kCounters[] = {"usage", "failcnt", "peak", "pressure", "oom_control", "stat"};
    const auto counts = [&](std::string_view word) { return name.find(word) != std::string::npos; };
    if (std::ranges::any_of(kCounters, counts)) return;
    const bool lists_members = name == "cgroup.procs" || name == "tasks" || name == "cgroup.threads";
    if (lists_members && !members_) return;
    const auto text = read_file(path);
    what += " " + (text ? *text : text.error().message());
  }

  static std::string owner_of(const struct stat& info) {
    return std::to_string(info.st_mode) + " " + std::to_string(info.st_uid) + ":" + std::to_string(info.st_gid);
  }

  std::vector<std::string> apart_;
  bool members_;
  std::map<std::string, std::string> seen_;
};

}  // namespace dewar
