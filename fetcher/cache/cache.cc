#include "fetcher/cache/cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>

#include "base/digest.h"
#include "base/document.h"
#include "base/files.h"
#include "base/process.h"

// <folder>/
//   blobs/<owner>/<sha256>     entries of this boot, or looked at in this boot; mode 0444, root's
//   old/<owner>/<sha256>       entries of earlier boots that nobody has asked for since
//   notes/<uid>/<sha256 of the URI>
//   locks/<uid>-<sha256 of the key>
//   boot                       the boot id that `blobs` is of
//   lock                       held while entries come and go

namespace dewar {
namespace {

constexpr DocumentKind kNote{"DWFN", 2, "cache note"};
constexpr mode_t kOurs = 0700;

/// Somebody else's open file keeps its entry: flock(2), shared.
bool pin(const UniqueFd& fd, bool wait = false) {
  return retry_eintr([&] { return ::flock(fd.get(), LOCK_SH | (wait ? 0 : LOCK_NB)); }) == 0;
}

bool is_named(const UniqueFd& fd) {
  struct stat info {};
  return ::fstat(fd.get(), &info) == 0 && info.st_nlink > 0;
}

/// A digest that came in a message is not to be a path.
bool is_digest(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

Result<void> give_name(const UniqueFd& file, const std::string& path) {
  const std::string magic = "/proc/self/fd/" + std::to_string(file.get());
  if (::linkat(AT_FDCWD, magic.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) == 0 || errno == EEXIST) return {};
  return fail_errno("keep " + path);
}

}  // namespace

std::string Cache::blob(const CacheOwner& owner, const std::string& sha256) const {
  return folder_ + "/blobs/" + owner.name() + "/" + sha256;
}

std::string Cache::note_path(uid_t user, const std::string& uri) const {
  return folder_ + "/notes/" + std::to_string(user) + "/" + sha256(uri);
}

Result<Cache> Cache::open(const std::string& folder, std::uint64_t max_bytes) {
  Cache cache(folder, max_bytes);
  DEWAR_TRY(make_dirs(folder, kOurs));
  struct stat info {};
  if (::lstat(folder.c_str(), &info) != 0) return fail_errno("open cache " + folder);
  if (info.st_uid != ::geteuid() || (info.st_mode & 0077) != 0)
    return fail(std::errc::operation_not_permitted, "the cache " + folder + " belongs to, or is open to, others");
  for (const char* name : {"/blobs", "/old", "/notes", "/locks"}) DEWAR_TRY(make_dirs(folder + name, kOurs));
  DEWAR_TRY(cache.begin_boot());
  return cache;
}

/// Entries are not synced when they are kept, which would cost more than the download. So after a boot each is read
/// once before it is given out; until then it lies in `old`.
Result<void> Cache::begin_boot() {
  const std::string boot = DEWAR_TRY(boot_id());
  const auto is_now = [&] {
    const auto held = read_file(folder_ + "/boot");
    return held && *held == boot;
  };
  if (is_now()) return {};
  const UniqueFd all = DEWAR_TRY(whole_lock());
  if (is_now()) return {};
  for (const Found& found : DEWAR_TRY(entries())) {
    const std::string old = folder_ + "/old/" + found.entry.owner;
    if (found.path.starts_with(old)) continue;
    DEWAR_TRY(make_dirs(old, kOurs));
    if (::rename(found.path.c_str(), (old + "/" + found.entry.sha256).c_str()) != 0)
      return fail_errno("set aside " + found.path);
  }
  return replace_file(folder_ + "/boot", boot, 0600);
}

Result<UniqueFd> Cache::whole_lock() const {
  UniqueFd lock = DEWAR_TRY(open_file(folder_ + "/lock", O_RDWR | O_CREAT, 0600));
  if (retry_eintr([&] { return ::flock(lock.get(), LOCK_EX); }) != 0) return fail_errno("lock " + folder_);
  return lock;
}

/// An entry of an earlier boot becomes one of this boot if its bytes are still the ones that its name says.
Result<void> Cache::trust_again(const std::string& sha256, const CacheOwner& owner) {
  const std::string old = folder_ + "/old/" + owner.name() + "/" + sha256;
  const auto file = open_file(old, O_RDONLY | O_NOFOLLOW);
  if (!file) return {};
  if (DEWAR_TRY(sha256_of_file(file->get(), old)) != sha256) {
    ::unlink(old.c_str());
    return {};
  }
  DEWAR_TRY(make_dirs(parent_of(blob(owner, sha256)), kOurs));
  if (::rename(old.c_str(), blob(owner, sha256).c_str()) != 0 && errno != ENOENT) return fail_errno("move " + old);
  return {};
}

Result<std::optional<UniqueFd>> Cache::find(const std::string& sha256, const CacheOwner& owner) {
  if (!is_digest(sha256)) return std::optional<UniqueFd>();
  const std::string path = blob(owner, sha256);
  auto file = open_file(path, O_RDONLY | O_NOFOLLOW);
  if (!file) {
    DEWAR_TRY(trust_again(sha256, owner));
    file = open_file(path, O_RDONLY | O_NOFOLLOW);
  }
  if (!file) {
    if (file.error().code == std::errc::no_such_file_or_directory) return std::optional<UniqueFd>();
    return Failure{std::move(file).error()};
  }
  UniqueFd fd = std::move(file).take();
  if (!pin(fd, true) || !is_named(fd)) return std::optional<UniqueFd>();  // evicted a moment ago
  const timespec now[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
  ::futimens(fd.get(), now);
  return std::optional<UniqueFd>(std::move(fd));
}

Result<UniqueFd> Cache::stage() const {
  return open_file(folder_ + "/blobs", O_RDWR | O_TMPFILE, 0400).context("make a file in the cache");
}

Result<bool> Cache::keep(const UniqueFd& staged, const std::string& sha256, const CacheOwner& owner) {
  struct stat info {};
  if (!is_digest(sha256) || ::fstat(staged.get(), &info) != 0) return fail("keep: '" + sha256 + "' is no digest");
  const UniqueFd all = DEWAR_TRY(whole_lock());
  const auto size = static_cast<std::uint64_t>(info.st_size);
  if (size > max_bytes_) return false;
  DEWAR_TRY(make_room(size, max_bytes_));
  std::uint64_t held = 0;
  for (const Found& found : DEWAR_TRY(entries())) held += found.entry.bytes;
  if (held + size > max_bytes_ && !exists(blob(owner, sha256))) return false;
  if (::fchmod(staged.get(), 0444) != 0) return fail_errno("keep " + sha256);
  pin(staged);
  DEWAR_TRY(make_dirs(parent_of(blob(owner, sha256)), kOurs));
  DEWAR_TRY(give_name(staged, blob(owner, sha256)));
  return true;
}

Result<std::optional<CacheNote>> Cache::note(uid_t user, const std::string& uri) {
  const auto bytes = read_file(note_path(user, uri), 1u << 20);
  if (!bytes) return std::optional<CacheNote>();
  auto note = decode_document<CacheNote>(kNote, *bytes);
  if (!note) return std::optional<CacheNote>();  // damaged: as good as none
  return std::optional<CacheNote>(std::move(note).take());
}

Result<void> Cache::take_note(uid_t user, const std::string& uri, const CacheNote& note) {
  const std::string path = note_path(user, uri);
  DEWAR_TRY(make_dirs(parent_of(path), kOurs));
  return replace_file(path, encode_document(kNote, note), 0600);
}

/// Waits in flock(2), which a timer's signal ends.
Result<CacheLock> Cache::lock(uid_t user, const std::string& key, Time deadline) {
  const std::string path = folder_ + "/locks/" + std::to_string(user) + "-" + sha256(key);
  struct sigaction quiet {
  }, before{};
  quiet.sa_handler = [](int) {};
  ::sigaction(SIGALRM, &quiet, &before);
  const auto timer = [](Duration span) {
    const auto us = std::chrono::duration_cast<std::chrono::microseconds>(span).count();
    const timeval first{us / 1'000'000, us % 1'000'000}, again{0, us > 0 ? 100'000 : 0};  // one may come too early
    const itimerval wait{again, first};
    ::setitimer(ITIMER_REAL, &wait, nullptr);
  };
  const Duration left = deadline - SystemClock().now();
  timer(std::max<Duration>(left, std::chrono::milliseconds(1)));
  Result<CacheLock> result = fail(std::errc::timed_out, "wait for the download that another task has begun");
  for (bool again = true; again;) {
    again = false;
    auto file = open_file(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
    if (!file) {
      result = Failure{std::move(file).error()};
    } else if (::flock(file->get(), LOCK_EX) == 0) {
      struct stat ours {
      }, there{};  // whoever held it may have removed it
      const bool same = ::fstat(file->get(), &ours) == 0 && ::lstat(path.c_str(), &there) == 0 &&
                        ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
      if (same) result = CacheLock(std::move(file).take(), path);
      again = !same;
    } else {
      again = errno == EINTR && SystemClock().now() < deadline;
    }
  }
  timer({});
  ::sigaction(SIGALRM, &before, nullptr);
  return result;
}

Result<std::vector<Cache::Found>> Cache::entries() const {
  std::vector<Found> all;
  for (const char* place : {"/blobs", "/old"}) {
    for (const std::string& owner : DEWAR_TRY(list_dir(folder_ + place))) {
      const std::string folder = folder_ + place + "/" + owner;
      for (const std::string& name : DEWAR_TRY(list_dir(folder))) {
        struct stat info {};
        if (!is_digest(name) || ::lstat((folder + "/" + name).c_str(), &info) != 0) continue;
        Found found;
        found.entry.owner = owner;
        found.entry.sha256 = name;
        found.entry.bytes = static_cast<std::uint64_t>(info.st_size);
        found.entry.used = static_cast<double>(info.st_mtim.tv_sec) + static_cast<double>(info.st_mtim.tv_nsec) / 1e9;
        found.path = folder + "/" + name;
        all.push_back(std::move(found));
      }
    }
  }
  return all;
}

/// Under the whole lock.
Result<std::vector<CacheEntry>> Cache::make_room(std::uint64_t for_bytes, std::uint64_t limit) {
  std::vector<Found> all = DEWAR_TRY(entries());
  std::ranges::sort(all, {}, [](const Found& found) { return found.entry.used; });
  std::uint64_t held = for_bytes;
  for (const Found& found : all) held += found.entry.bytes;
  std::vector<CacheEntry> gone;
  for (const Found& found : all) {
    if (held <= limit) break;
    const auto file = open_file(found.path, O_RDONLY | O_NOFOLLOW);
    if (!file || ::flock(file->get(), LOCK_EX | LOCK_NB) != 0) continue;  // in use
    if (::unlink(found.path.c_str()) != 0) return fail_errno("evict " + found.path);
    held -= found.entry.bytes;
    gone.push_back(found.entry);
  }
  if (!gone.empty()) DEWAR_TRY(forget_notes(gone));
  return gone;
}

/// Notes of what is gone lead nowhere; without this they would be kept for ever.
Result<void> Cache::forget_notes(const std::vector<CacheEntry>& gone) const {
  for (const std::string& user : DEWAR_TRY(list_dir(folder_ + "/notes"))) {
    const std::string folder = folder_ + "/notes/" + user;
    for (const std::string& name : DEWAR_TRY(list_dir(folder))) {
      const auto bytes = read_file(folder + "/" + name, 1u << 20);
      const auto note = bytes ? decode_document<CacheNote>(kNote, *bytes) : Result<CacheNote>(fail("unreadable"));
      const bool stale = !note || std::ranges::any_of(gone, [&](const CacheEntry& entry) {
        return entry.sha256 == note->sha256 && entry.owner == (note->is_private ? user : "shared");
      });
      if (stale) ::unlink((folder + "/" + name).c_str());
    }
  }
  return {};
}

Result<std::vector<CacheEntry>> Cache::list() {
  std::vector<CacheEntry> listed;
  for (Found& found : DEWAR_TRY(entries())) {
    const auto file = open_file(found.path, O_RDONLY | O_NOFOLLOW);
    found.entry.in_use = file && ::flock(file->get(), LOCK_EX | LOCK_NB) != 0;
    listed.push_back(std::move(found.entry));
  }
  for (const std::string& user : DEWAR_TRY(list_dir(folder_ + "/notes"))) {
    for (const std::string& name : DEWAR_TRY(list_dir(folder_ + "/notes/" + user))) {
      const auto bytes = read_file(folder_ + "/notes/" + user + "/" + name, 1u << 20);
      const auto note = bytes ? decode_document<CacheNote>(kNote, *bytes) : Result<CacheNote>(fail("unreadable"));
      if (!note) continue;
      for (CacheEntry& entry : listed) {
        const std::string owner = note->is_private ? user : "shared";
        if (entry.sha256 == note->sha256 && entry.owner == owner && std::ranges::count(entry.uris, note->uri) == 0)
          entry.uris.push_back(note->uri);
      }
    }
  }
  std::ranges::sort(listed, std::ranges::greater{}, &CacheEntry::used);
  return listed;
}

Result<std::vector<CacheEntry>> Cache::verify() {
  std::vector<CacheEntry> damaged;
  for (const Found& found : DEWAR_TRY(entries())) {
    const auto file = open_file(found.path, O_RDONLY | O_NOFOLLOW);
    if (!file || !pin(*file, true)) continue;
    if (DEWAR_TRY(sha256_of_file(file->get(), found.path)) == found.entry.sha256) continue;
    if (::unlink(found.path.c_str()) != 0 && errno != ENOENT) return fail_errno("remove " + found.path);
    damaged.push_back(found.entry);
  }
  return damaged;
}

Result<std::vector<CacheEntry>> Cache::evict(std::uint64_t bytes) {
  const UniqueFd all = DEWAR_TRY(whole_lock());
  return make_room(0, bytes);
}

}  // namespace dewar
