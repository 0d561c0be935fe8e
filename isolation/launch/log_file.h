#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"
#include "isolation/launch_info.h"
#include "isolation/log_quota.h"

namespace dewar {

/// One stream's log: `name` in a folder, in rotate mode with name.1 … name.<backups> (newest first) beside it. Disk
/// errors are not the writer's trouble: bytes that find no place are dropped and counted.
class LogFile {
 public:
  /// `folder` and `quota` must live as long as this does. The file belongs to `user`. Standard mode appends, rotate
  /// mode starts anew. Errors: ELOOP or EINVAL if something else than a regular file is there.
  static Result<LogFile> open(const UniqueFd& folder, std::string name, const LogPolicy& policy, const User& user,
                              LogQuota& quota);

  /// Appends. A file that has reached log_size is rotated; the cut is after the line that reaches it, at most 64 KiB
  /// late, or within a line that is longer. Where the task's quota has no room, rotate mode
  /// removes its oldest backups; what then still does not fit is lost with EDQUOT.
  void write(std::string_view bytes);

  std::uint64_t lost() const { return lost_; }
  /// errno of the latest loss.
  int error() const { return error_; }
  /// The same in words.
  std::string problem() const;

 private:
  LogFile(int folder, std::string name, const LogPolicy& policy, const User& user, LogQuota& quota)
      : folder_(folder), name_(std::move(name)), policy_(policy), uid_(user.uid), gid_(user.gid), quota_(&quota) {}
  Result<void> reopen(int extra_flags);
  void append(std::string_view bytes);
  void lose(std::size_t bytes, int error);
  std::string numbered(std::uint32_t backup) const;
  std::uint64_t size_of(const std::string& name) const;
  bool remove_oldest();
  void rotate();
  std::size_t until_rotation(std::string_view bytes) const;

  int folder_;
  std::string name_;
  LogPolicy policy_;
  uid_t uid_;
  gid_t gid_;
  LogQuota* quota_;
  UniqueFd file_;
  std::uint64_t size_ = 0, lost_ = 0;
  int error_ = 0;
};

}  // namespace dewar
