#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <unordered_map>
#include <vector>

#include "isolation/disk/folder_scan.h"

namespace dewar {

using FolderId = std::uint32_t;
constexpr FolderId kNoFolder = std::numeric_limits<FolderId>::max();

/// One folder that is known. Its files are not: only what they add up to.
struct Folder {
  ino_t inode = 0;
  FolderId parent = kNoFolder, first_child = kNoFolder, next = kNoFolder, previous = kNoFolder;
  std::uint64_t listed = 0;    ///< the listing of its parent that it was last seen in
  std::uint64_t unlisted = 0;  ///< an orphan: the listing that missed it
  int watch = -1;              ///< inotify(7)
  bool exists = false;         ///< false: the place is free
  bool orphan = false;         ///< gone from its parent; may turn up elsewhere
  bool stale = true;           ///< has to be listed anew
  bool queued = false;
  bool watchable = true;
  bool blind = false;  ///< it could not be watched, so only looking finds what its files do
  FolderSum sum;
  std::string name;  ///< a root's: its path
};

/// The folders below some roots, as listings have found them, and what their files add up to. Folders are known by
/// their inodes, so one that has been moved keeps all that is known of what is below it: moving a big tree costs one
/// listing.
class FolderTree {
 public:
  static constexpr std::size_t kMaxFolders = 1u << 18;  ///< some 40 MiB

  FolderId add_root(std::string path, ino_t inode, bool watchable);
  /// Notes an entry of a folder that is being listed: a new one, a known one, or one that was elsewhere before.
  /// kNoFolder: there are too many.
  FolderId found(FolderId parent, std::string name, ino_t inode, std::uint64_t listing);
  /// The whole folder has been listed: children that this listing has not found are orphans now.
  void end_listing(FolderId id, const FolderSum& sum, std::uint64_t listing);
  /// Forgets orphans that no listing up to `listing` has found, with all below them. `gone` is called for each.
  void drop_orphans(std::uint64_t listing, const std::function<void(const Folder&)>& gone);
  /// Frees the place of one that has been dropped while it was in a queue.
  void release(FolderId id);

  Folder& operator[](FolderId id) { return folders_[id]; }
  const Folder& operator[](FolderId id) const { return folders_[id]; }
  /// Ids are below this; some do not exist.
  FolderId end() const { return static_cast<FolderId>(folders_.size()); }
  const FolderSum& total() const { return total_; }
  std::size_t blind() const { return blind_; }
  void set_blind(FolderId id, bool blind);

  /// From a root down to `id`; empty if it hangs on an orphan.
  std::vector<FolderId> way_to(FolderId id) const;
  /// Below its root: "data/blobs"; "." for a root.
  std::string path_of(FolderId id) const;

 private:
  FolderId add(Folder folder);
  void attach(FolderId id, FolderId parent);
  void detach(FolderId id);
  void orphan(FolderId id, std::uint64_t listing);
  bool is_above(FolderId upper, FolderId lower) const;
  void drop(FolderId id, const std::function<void(const Folder&)>& gone);

  std::vector<Folder> folders_;
  std::vector<FolderId> free_, orphans_;
  std::unordered_map<ino_t, FolderId> by_inode_;
  FolderSum total_;
  std::size_t blind_ = 0;
};

}  // namespace dewar
