#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "isolation/sandbox_spec.h"

namespace dewar {

/// What a task's folders take: blocks, not lengths, so that a hole costs nothing.
struct DiskUsage {
  std::uint64_t bytes = 0, inodes = 0;
  friend bool operator==(const DiskUsage&, const DiskUsage&) = default;
};

/// A limit that the file system itself keeps (project quota: ext4, XFS and others that are mounted with `prjquota`).
/// Everything made in a folder of the project belongs to it and is counted; past the limit a write fails with EDQUOT
/// (ext4, but not for a process with CAP_SYS_RESOURCE) or ENOSPC (XFS).
///
/// The file system is also the register of projects: a number of our range is free if nothing belongs to it. So nothing
/// has to be given back: a project ends when its folders are removed. Needs Linux 5.14 for quotactl_fd(2).
class ProjectQuota {
 public:
  static constexpr std::uint32_t kFirst = 0x44570000, kCount = 1u << 16;

  /// Makes `folders`, which are empty and on one file system, a project of their own. Any number of callers at once.
  /// Errors: EOPNOTSUPP if the file system keeps no project quota, with the words why; of FS_IOC_FSSETXATTR and
  /// quotactl(2), after which the folders are as before.
  static Result<ProjectQuota> claim(const std::vector<std::string>& folders, const DiskLimits& limits);
  /// The project of a folder that was claimed. Errors: ENOENT if it belongs to none of ours.
  static Result<ProjectQuota> find(const std::string& folder);
  /// Whether claim() can work in a folder. Errors: as claim().
  static Result<void> check(const std::string& folder);

  Result<DiskUsage> usage() const;
  std::uint32_t id() const { return id_; }

 private:
  ProjectQuota(UniqueFd folder, std::uint32_t id) : folder_(std::move(folder)), id_(id) {}
  Result<void> limit(const DiskLimits& limits) const;

  UniqueFd folder_;
  std::uint32_t id_;
};

}  // namespace dewar
