#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "base/unique_fd.h"
#include "isolation/launch/index_file.h"
#include "isolation/launch_info.h"
#include "isolation/log_quota.h"

namespace dewar {

/// One stream's log: `stdout` in a folder, in rotate mode with stdout.1 … stdout.<backups> (newest first) beside it,
/// each perhaps compressed, and a record of each write in the index. Disk errors are not the writer's trouble: bytes
/// that find no place are dropped and counted.
class LogFile {
 public:
  /// How to meet what is there: as the mode says (standard appends, rotate starts anew), or going on after a dead pump.
  enum class Begin : std::uint8_t { kNew, kGoOn };

  /// `folder`, `quota` and `index` must live as long as this does. Errors: ELOOP or EINVAL if something else than a
  /// regular file is there.
  static Result<LogFile> open(const UniqueFd& folder, OutputStream stream, const LogPolicy& policy, LogQuota& quota,
                              IndexFile& index, Begin begin = Begin::kNew);

  /// Appends what was read at `time` (CLOCK_REALTIME, ns). A file that has reached log_size is rotated; the cut is
  /// after the line that reaches it, at most 64 KiB late, or within a line that is longer. Where the task's quota has
  /// no room, rotate mode removes its oldest backups; what then still does not fit is lost with EDQUOT.
  void write(std::string_view bytes, std::int64_t time);
  /// Notes that `bytes` of what the process wrote will never be here.
  void miss(std::uint64_t bytes, GapReason reason, std::int64_t time);
  /// Makes the file anew if somebody has taken it away; finds out where it begins if somebody has cut it.
  void check();
  bool was_replaced() const { return replaced_; }

  /// Where the quota has no room, the logs of ended runs go first: in the work dir, if that has a quota of so many
  /// bytes, and in `<run>/.logs`.
  void share(const std::string& task_logs, const std::string& work_dir = {}, std::uint64_t work_dir_quota = 0) {
    task_logs_ = task_logs, work_dir_ = work_dir, work_dir_quota_ = work_dir_quota;
  }

  /// How many folders of other runs' logs this has removed for the work dir's quota, and that quota.
  std::size_t collected() const { return collected_; }
  std::uint64_t work_dir_quota() const { return work_dir_quota_; }

  /// How many earlier runs of the task had their logs removed by this, and what was full.
  std::size_t removed_runs() const { return removed_runs_; }
  const std::string& removed_for() const { return removed_for_; }

  /// The stream's cursor.
  std::uint64_t position() const { return position_; }
  /// Has a file been rotated since the last time this was asked?
  bool take_rotated() { return std::exchange(rotated_, false); }
  std::uint64_t lost() const { return lost_; }
  /// errno of the latest loss.
  int error() const { return error_; }
  /// The same in words.
  std::string problem() const;

 private:
  LogFile(int folder, OutputStream stream, const LogPolicy& policy, LogQuota& quota, IndexFile& index)
      : folder_(folder), stream_(stream), name_(file_name(stream)), policy_(policy), quota_(&quota), index_(&index) {}
  Result<void> reopen(int extra_flags);
  void go_on(Begin begin);
  std::uint64_t start_of_archive(const std::string& name) const;
  void begin_file();
  void append(std::string_view bytes, std::int64_t time);
  void keep(std::string_view bytes, std::int64_t time);
  void lose(std::size_t bytes, int error, std::int64_t time);
  std::string numbered(std::uint32_t backup) const;
  bool has_backup(std::uint32_t number) const;
  std::uint64_t remove(const std::string& name) const;
  void forget_removed();
  bool remove_old_run(std::int64_t time);
  bool remove_oldest();
  void rotate();
  void move_away();
  std::size_t until_rotation(std::string_view bytes) const;

  int folder_;
  OutputStream stream_;
  std::string name_;
  LogPolicy policy_;
  LogQuota* quota_;
  IndexFile* index_;
  UniqueFd file_;
  std::uint64_t inode_ = 0, size_ = 0, position_ = 0, lost_ = 0;
  std::uint64_t rotate_at_ = 0;       ///< the size at which it is rotated, or that is tried again
  std::deque<std::uint64_t> starts_;  ///< where each file begins that this has written: the current one, name.1, …
  std::string task_logs_;             ///< where the logs of all runs of the task are; empty: only ours are known
  std::string work_dir_;
  std::uint64_t work_dir_quota_ = 0;  ///< 0: none
  std::int64_t no_old_runs_ = 0;
  std::size_t collected_ = 0, removed_runs_ = 0;
  std::string removed_for_;
  int error_ = 0;
  bool rotated_ = false, replaced_ = false;
};

}  // namespace dewar
