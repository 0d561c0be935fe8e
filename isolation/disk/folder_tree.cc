#include "isolation/disk/folder_tree.h"

#include <algorithm>
#include <utility>

namespace dewar {
namespace {

void replace(FolderSum& total, const FolderSum& old, const FolderSum& now) {
  total.bytes += now.bytes - old.bytes;
  total.inodes += now.inodes - old.inodes;
  total.holes += now.holes - old.holes;
}

}  // namespace

FolderId FolderTree::add(Folder folder) {
  FolderId id = end();
  if (!free_.empty()) {
    id = free_.back();
    free_.pop_back();
  } else if (folders_.size() < kMaxFolders) {
    folders_.emplace_back();
  } else {
    return kNoFolder;
  }
  folder.exists = true;
  by_inode_[folder.inode] = id;
  folders_[id] = std::move(folder);
  return id;
}

FolderId FolderTree::add_root(std::string path, ino_t inode, bool watchable) {
  Folder root;
  root.name = std::move(path);
  root.inode = inode;
  root.watchable = watchable;
  return add(std::move(root));
}

FolderId FolderTree::found(FolderId parent, std::string name, ino_t inode, std::uint64_t listing) {
  const auto known = by_inode_.find(inode);
  if (known == by_inode_.end()) {
    Folder folder;
    folder.inode = inode;
    folder.name = std::move(name);
    folder.listed = listing;
    folder.watchable = folders_[parent].watchable;
    const FolderId id = add(std::move(folder));
    if (id != kNoFolder) attach(id, parent);
    return id;
  }
  const FolderId id = known->second;
  Folder& folder = folders_[id];
  folder.listed = listing;
  const bool is_root = folder.parent == kNoFolder && !folder.orphan;
  if (is_root || (folder.parent == parent && folder.name == name)) return id;
  // What we believe of `parent` may be older than this: it cannot lie below its own subfolder.
  if (is_above(id, parent)) orphan(parent, listing);
  detach(id);
  folder.orphan = false;
  attach(id, parent);
  folder.name = std::move(name);
  folder.stale = true;  // it may be another one that was given the same inode
  return id;
}

void FolderTree::end_listing(FolderId id, const FolderSum& sum, std::uint64_t listing) {
  replace(total_, folders_[id].sum, sum);
  folders_[id].sum = sum;
  for (FolderId child = folders_[id].first_child; child != kNoFolder;) {
    const FolderId next = folders_[child].next;
    if (folders_[child].listed != listing) orphan(child, listing);
    child = next;
  }
}

void FolderTree::drop_orphans(std::uint64_t listing, const std::function<void(const Folder&)>& gone) {
  const std::vector<FolderId> orphans = std::exchange(orphans_, {});
  for (const FolderId id : orphans) {
    const Folder& folder = folders_[id];
    if (!folder.exists || !folder.orphan) continue;  // it has turned up, or went with another
    if (folder.unlisted <= listing) {
      drop(id, gone);
    } else {
      orphans_.push_back(id);
    }
  }
}

/// Without recursion: folders are as deep as a task likes.
void FolderTree::drop(FolderId top, const std::function<void(const Folder&)>& gone) {
  std::vector<FolderId> open{top};
  while (!open.empty()) {
    const FolderId id = open.back();
    open.pop_back();
    Folder& folder = folders_[id];
    for (FolderId child = folder.first_child; child != kNoFolder; child = folders_[child].next) open.push_back(child);
    gone(folder);
    replace(total_, folder.sum, {});
    blind_ -= folder.blind ? 1 : 0;
    by_inode_.erase(folder.inode);
    const bool queued = folder.queued;
    folder = {};
    folder.queued = queued;
    if (!queued) free_.push_back(id);
  }
}

void FolderTree::release(FolderId id) {
  folders_[id].queued = false;
  free_.push_back(id);
}

void FolderTree::set_blind(FolderId id, bool blind) {
  if (folders_[id].blind == blind) return;
  folders_[id].blind = blind;
  blind_ += blind ? 1 : std::size_t(-1);
}

void FolderTree::attach(FolderId id, FolderId parent) {
  Folder& folder = folders_[id];
  folder.parent = parent;
  folder.previous = kNoFolder;
  folder.next = folders_[parent].first_child;
  if (folder.next != kNoFolder) folders_[folder.next].previous = id;
  folders_[parent].first_child = id;
}

void FolderTree::detach(FolderId id) {
  Folder& folder = folders_[id];
  if (folder.parent == kNoFolder) return;
  if (folder.previous != kNoFolder) folders_[folder.previous].next = folder.next;
  if (folder.previous == kNoFolder) folders_[folder.parent].first_child = folder.next;
  if (folder.next != kNoFolder) folders_[folder.next].previous = folder.previous;
  folder.parent = folder.next = folder.previous = kNoFolder;
}

void FolderTree::orphan(FolderId id, std::uint64_t listing) {
  detach(id);
  folders_[id].orphan = true;
  folders_[id].unlisted = listing;
  orphans_.push_back(id);
}

bool FolderTree::is_above(FolderId upper, FolderId lower) const {
  while (lower != kNoFolder && lower != upper) lower = folders_[lower].parent;
  return lower == upper;
}

std::vector<FolderId> FolderTree::way_to(FolderId id) const {
  std::vector<FolderId> way;
  for (; id != kNoFolder; id = folders_[id].parent) way.push_back(id);
  if (folders_[way.back()].orphan) return {};
  std::ranges::reverse(way);
  return way;
}

std::string FolderTree::path_of(FolderId id) const {
  std::string path;
  for (const FolderId part : way_to(id)) {
    if (folders_[part].parent != kNoFolder) path += (path.empty() ? "" : "/") + folders_[part].name;
  }
  return path.empty() ? "." : path;
}

}  // namespace dewar
