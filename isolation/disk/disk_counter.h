#pragma once

#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "isolation/disk/folder_tree.h"
#include "isolation/disk/project_quota.h"

namespace dewar {

/// Counts what some folders take, where no file system does. An unchanged tree costs next to nothing: inotify(7) tells
/// which folders have changed, and only these are listed again. Each watch tells once and is set again with the next
/// listing, so a busy writer costs one listing per look and not one event per write.
///
/// What inotify does not tell (writes through a mapping, some asynchronous writes, folders beyond kMaxWatches) is found
/// by laps over all folders, which the caller begins, and by listing again those with sparse files (check_holes).
///
/// Follows no symlink, stays on the device of the first root, and holds two folders open at a time, however deep the
/// tree. Errors of single folders are none of the counter's: they have been moved or removed, and turn up or do not.
class DiskCounter {
 public:
  static constexpr std::size_t kMaxWatches = 16384;  ///< each pins an inode in the kernel, about 1 KiB

  struct Root {
    std::string path;
    bool watched = true;  ///< false where changes are not told: the upper folder of an overlay
  };
  struct Big {
    std::string path;  ///< below its root
    std::uint64_t bytes = 0;
  };

  /// Errors: of open(2) for a root. Without inotify it works too, by laps alone.
  static Result<DiskCounter> open(const std::vector<Root>& roots);

  /// Works until there is nothing to do (false) or `deadline` (true). The first work is to find all folders.
  bool work(const Clock& clock, Time deadline);
  bool has_work() const { return scan_ || in_lap_ || !queue_.empty(); }
  /// Readable when something has changed since read_changes(); -1 without inotify.
  int changes() const { return inotify_.get(); }
  void read_changes();

  /// Every folder is listed again; a lap that goes on begins anew.
  void begin_lap();
  bool in_lap() const { return in_lap_; }
  /// No folder is known to have changed.
  bool only_lap() const { return in_lap_ && queue_.empty(); }
  /// Laps that were completed.
  std::uint64_t laps() const { return laps_; }
  /// The folders in which files can grow unseen are listed again.
  void check_holes();

  DiskUsage usage() const;
  /// Bytes that sparse files may still take without anybody being told.
  std::uint64_t holes() const { return tree_.total().holes; }
  dev_t device() const { return device_; }
  /// Folders that only laps look after.
  std::size_t blind() const { return tree_.blind(); }
  /// There are more than FolderTree::kMaxFolders; the rest is not counted.
  bool overrun() const { return overrun_; }
  /// The folders whose own files take most, biggest first.
  std::vector<Big> biggest(std::size_t count) const;

 private:
  DiskCounter() = default;
  void push(FolderId id);
  std::optional<FolderId> next();
  Result<void> begin_scan(FolderId id);
  bool go_on(const Clock& clock, Time deadline);
  void not_opened(FolderId id, const Error& error);
  void set_watch(FolderId id, int fd);
  void drop_orphans(std::uint64_t listing);
  Result<UniqueFd> open_folder(FolderId id) const;

  FolderTree tree_;
  UniqueFd inotify_;
  std::unordered_map<int, FolderId> by_watch_;
  dev_t device_ = 0;

  std::deque<FolderId> queue_;
  std::optional<FolderScan> scan_;
  std::optional<FolderScan> last_;  ///< the one before, still open: the next one is often its child
  FolderId scanned_ = kNoFolder;    ///< what scan_ lists, or else what last_ did
  std::uint64_t listing_ = 0;       ///< counts them
  bool in_lap_ = false, lap_turn_ = false, overrun_ = false;
  FolderId lap_at_ = 0;
  std::uint64_t lap_began_ = 0;
  std::uint64_t laps_ = 0;
};

}  // namespace dewar
