#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"
#include "isolation/launch_info.h"

namespace dewar {

/// One stream's log: `name` in a folder, in rotate mode with name.1 … name.<backups> (newest first) beside it. Disk
/// errors are not the writer's trouble: bytes that find no place are dropped and counted.
class LogFile {
 public:
  /// `folder` must stay open as long as this lives. The file belongs to `user`. Standard mode appends, rotate mode
  /// starts anew. Errors: ELOOP or EINVAL if something else than a regular file is there.
  static Result<LogFile> open(const UniqueFd& folder, std::string name, const LogPolicy& policy, const User& user);

  /// Appends. A file that has reached log_size is rotated; the cut is after the line that reaches it, at most 64 KiB
  /// late, or within a line that is longer.
  void write(std::string_view bytes);

  std::uint64_t lost() const { return lost_; }
  /// errno of the latest loss.
  int error() const { return error_; }

 private:
  LogFile(int folder, std::string name, const LogPolicy& policy, const User& user)
      : folder_(folder), name_(std::move(name)), policy_(policy), uid_(user.uid), gid_(user.gid) {}
  Result<void> reopen(int extra_flags);
  void append(std::string_view bytes);
  void rotate();
  std::size_t until_rotation(std::string_view bytes) const;

  int folder_;
  std::string name_;
  LogPolicy policy_;
  uid_t uid_;
  gid_t gid_;
  UniqueFd file_;
  std::uint64_t size_ = 0, lost_ = 0;
  int error_ = 0;
};

}  // namespace dewar
