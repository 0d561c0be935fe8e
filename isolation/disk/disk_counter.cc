#include "isolation/disk/disk_counter.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/files.h"

namespace dewar {
namespace {

constexpr std::uint32_t kChanges =
    IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_MODIFY | IN_CLOSE_WRITE | IN_ONLYDIR | IN_ONESHOT;
constexpr int kOpenFolder = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC;
constexpr std::size_t kLongestPath = 4000;  // below PATH_MAX, so a deep folder is reached in several steps

/// Below `folder`, through folders of its own device only.
Result<UniqueFd> open_below(int folder, const std::string& path) {
  open_how how{};
  how.flags = kOpenFolder;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
  UniqueFd fd(static_cast<int>(::syscall(SYS_openat2, folder, path.c_str(), &how, sizeof how)));
  if (!fd) return fail_errno("open " + path);
  return fd;
}

}  // namespace

Result<DiskCounter> DiskCounter::open(const std::vector<Root>& roots) {
  DiskCounter counter;
  counter.inotify_.reset(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  for (const Root& root : roots) {
    const UniqueFd fd = DEWAR_TRY(open_file(root.path, kOpenFolder));
    struct stat info {};
    if (::fstat(fd.get(), &info) != 0) return fail_errno("stat " + root.path);
    if (counter.device_ == 0) counter.device_ = info.st_dev;
    counter.push(counter.tree_.add_root(root.path, info.st_ino, root.watched));
  }
  return counter;
}

// ---- What there is to do ----

void DiskCounter::push(FolderId id) {
  tree_[id].stale = true;
  if (std::exchange(tree_[id].queued, true)) return;
  queue_.push_back(id);
}

void DiskCounter::begin_lap() {
  in_lap_ = true;
  overrun_ = false;
  lap_at_ = 0;
  lap_began_ = listing_;
}

void DiskCounter::check_holes() {
  for (FolderId id = 0; id < tree_.end(); ++id)
    if (tree_[id].exists && tree_[id].sum.holes > 0) push(id);
}

/// Changed folders and the lap take turns, so that neither holds up the other.
std::optional<FolderId> DiskCounter::next() {
  for (;;) {
    lap_turn_ = !lap_turn_ && in_lap_;
    if (lap_turn_ || (in_lap_ && queue_.empty())) {
      if (lap_at_ < tree_.end()) {
        const FolderId id = lap_at_++;
        if (tree_[id].exists && !tree_[id].queued) return id;  // one in the queue has its turn
      } else {
        in_lap_ = false;
        ++laps_;
        drop_orphans(lap_began_);
      }
    } else if (!queue_.empty()) {
      const FolderId id = queue_.front();
      queue_.pop_front();
      if (!tree_[id].exists) {
        tree_.release(id);
        continue;
      }
      tree_[id].queued = false;
      if (tree_[id].stale) return id;
    } else {
      // Whatever was moved has been told by now: an orphan that has not turned up is gone.
      read_changes();
      if (!queue_.empty()) continue;
      drop_orphans(listing_);
      return std::nullopt;
    }
  }
}

void DiskCounter::drop_orphans(std::uint64_t listing) {
  last_.reset();  // its number may soon be another folder's
  tree_.drop_orphans(listing, [this](const Folder& folder) {
    if (folder.watch < 0) return;
    ::inotify_rm_watch(inotify_.get(), folder.watch);
    by_watch_.erase(folder.watch);
  });
}

bool DiskCounter::work(const Clock& clock, Time deadline) {
  for (;;) {
    if (!scan_) {
      const auto id = next();
      if (!id) return false;
      if (const auto begun = begin_scan(*id); !begun) not_opened(*id, begun.error());
    } else if (!go_on(clock, deadline)) {
      return true;
    }
    if (clock.now() >= deadline) return has_work();
  }
}

// ---- One folder ----

Result<void> DiskCounter::begin_scan(FolderId id) {
  UniqueFd fd = DEWAR_TRY(open_folder(id));
  const int number = fd.get();
  FolderScan scan = DEWAR_TRY(FolderScan::open(std::move(fd)));
  if (scan.inode() != tree_[id].inode || scan.device() != device_)
    return fail(std::errc::no_such_file_or_directory, "find a folder");
  set_watch(id, number);    // before it is listed: a change from now on is told
  tree_[id].stale = false;  // now, for it may change again while it is listed
  scan_ = std::move(scan);
  scanned_ = id;
  ++listing_;
  return {};
}

/// False at the deadline.
bool DiskCounter::go_on(const Clock& clock, Time deadline) {
  FolderScan::Subfolder subfolder;
  switch (scan_->go_on(clock, deadline, subfolder)) {
    case FolderScan::Stop::kDeadline:
      return false;
    case FolderScan::Stop::kSubfolder: {
      const FolderId id = tree_.found(scanned_, std::move(subfolder.name), subfolder.inode, listing_);
      overrun_ = overrun_ || id == kNoFolder;
      if (id != kNoFolder && tree_[id].stale) push(id);
      return true;
    }
    case FolderScan::Stop::kEnd:
      tree_.end_listing(scanned_, scan_->sum(), listing_);
      last_ = std::exchange(scan_, std::nullopt);
      return true;
  }
  return true;
}

/// One that is not where we knew it to be: its parent's listing tells where it is now, or that it is gone. Any other
/// error waits for the next lap.
void DiskCounter::not_opened(FolderId id, const Error& error) {
  const std::error_code code = error.code;
  const bool moved = code == std::errc::no_such_file_or_directory || code == std::errc::not_a_directory ||
                     code == std::errc::too_many_symbolic_link_levels ||
                     code == std::errc::resource_unavailable_try_again;
  tree_[id].stale = moved;
  if (moved && tree_[id].parent != kNoFolder) push(tree_[id].parent);
}

Result<UniqueFd> DiskCounter::open_folder(FolderId id) const {
  if (last_ && tree_[id].parent == scanned_) return open_below(last_->fd(), tree_[id].name);
  const std::vector<FolderId> way = tree_.way_to(id);
  if (way.empty()) return fail(std::errc::no_such_file_or_directory, "find a folder");
  UniqueFd fd = DEWAR_TRY(open_file(tree_[way.front()].name, kOpenFolder));
  std::string path;
  for (std::size_t i = 1; i < way.size(); ++i) {
    path += (path.empty() ? "" : "/") + tree_[way[i]].name;
    const std::size_t more = i + 1 < way.size() ? tree_[way[i + 1]].name.size() + 1 : kLongestPath;
    if (path.size() + more < kLongestPath) continue;
    fd = DEWAR_TRY(open_below(fd.get(), path));
    path.clear();
  }
  return fd;
}

// ---- Changes ----

void DiskCounter::set_watch(FolderId id, int fd) {
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  Folder& folder = tree_[id];
  const bool may = inotify_ && folder.watchable && (folder.watch >= 0 || by_watch_.size() < kMaxWatches);
  const int watch = may ? ::inotify_add_watch(inotify_.get(), path.c_str(), kChanges) : -1;
  if (folder.watch >= 0 && folder.watch != watch) by_watch_.erase(folder.watch);
  folder.watch = watch;
  if (watch >= 0) by_watch_[watch] = id;
  tree_.set_blind(id, watch < 0);
}

void DiskCounter::read_changes() {
  alignas(inotify_event) char buffer[16384];
  for (;;) {
    const ssize_t size = inotify_ ? ::read(inotify_.get(), buffer, sizeof buffer) : 0;
    if (size <= 0) return;
    for (const char* at = buffer; at < buffer + size;) {
      const auto* event = reinterpret_cast<const inotify_event*>(at);
      at += sizeof(inotify_event) + event->len;
      if ((event->mask & IN_Q_OVERFLOW) != 0) {
        for (FolderId id = 0; id < tree_.end(); ++id)
          if (tree_[id].exists) push(id);
      }
      const auto watched = by_watch_.find(event->wd);
      if (watched == by_watch_.end()) continue;
      const FolderId id = watched->second;
      by_watch_.erase(watched);
      tree_[id].watch = -1;  // it tells once
      push(id);
    }
  }
}

// ---- What has been counted ----

DiskUsage DiskCounter::usage() const {
  DiskUsage usage{tree_.total().bytes, tree_.total().inodes};
  if (!scan_) return usage;
  // A folder that is being listed counts as far as it is more than before.
  const FolderSum &now = scan_->sum(), &before = tree_[scanned_].sum;
  if (now.bytes > before.bytes) usage.bytes += now.bytes - before.bytes;
  if (now.inodes > before.inodes) usage.inodes += now.inodes - before.inodes;
  return usage;
}

std::vector<DiskCounter::Big> DiskCounter::biggest(std::size_t count) const {
  std::vector<FolderId> ids;
  for (FolderId id = 0; id < tree_.end(); ++id)
    if (tree_[id].exists && tree_[id].sum.bytes > 0) ids.push_back(id);
  count = std::min(count, ids.size());
  std::ranges::partial_sort(ids, ids.begin() + static_cast<std::ptrdiff_t>(count), std::ranges::greater(),
                            [this](FolderId id) { return tree_[id].sum.bytes; });
  std::vector<Big> big;
  for (std::size_t i = 0; i < count; ++i)
    if (!tree_.way_to(ids[i]).empty()) big.push_back({tree_.path_of(ids[i]), tree_[ids[i]].sum.bytes});
  return big;
}

}  // namespace dewar
