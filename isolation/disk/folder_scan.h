#pragma once

#include <dirent.h>
#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace dewar {

/// What the files of one folder, without those of its subfolders, take.
struct FolderSum {
  std::uint64_t bytes = 0;   ///< blocks; a file of n names counts one n-th for each
  std::uint64_t inodes = 0;  ///< names; the folder itself is one
  std::uint64_t holes = 0;   ///< bytes that files could still take without growing
};

/// Lists one folder and stats its entries, piece by piece, so that a folder of a million files holds up nobody. Follows
/// no symlink and looks at nothing that is mounted over an entry.
class FolderScan {
 public:
  struct Subfolder {
    std::string name;
    ino_t inode;
  };

  /// Takes the folder, open for reading, over.
  static Result<FolderScan> open(UniqueFd folder);

  /// Goes on until a subfolder comes (`subfolder` has its name), the end, or `deadline`.
  enum class Stop : std::uint8_t { kSubfolder, kEnd, kDeadline };
  Stop go_on(const Clock& clock, Time deadline, Subfolder& subfolder);

  const FolderSum& sum() const { return sum_; }
  ino_t inode() const { return inode_; }
  dev_t device() const { return device_; }
  int fd() const { return ::dirfd(stream_.get()); }

 private:
  struct CloseDir {
    void operator()(DIR* dir) const { ::closedir(dir); }
  };
  FolderScan() = default;

  std::unique_ptr<DIR, CloseDir> stream_;
  FolderSum sum_;
  ino_t inode_ = 0;
  dev_t device_ = 0;
};

}  // namespace dewar
