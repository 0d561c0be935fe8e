#include "fetcher/extract/staging.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

#include "base/files.h"
#include "fetcher/extract/merge.h"
#include "fetcher/extract/names.h"

namespace dewar {
namespace {

constexpr std::string_view kPrefix = ".dewar-unpack-";
constexpr std::size_t kMostTimesBytes = 64u << 20;  // names of folders kept in memory; the times of others stay "now"
constexpr mode_t kMissingFolder = 0755;
constexpr int kTries = 20;  // somebody else may make, again and again, what is in the way

UniqueFd open_beneath(const UniqueFd& folder, const std::string& path, int flags, mode_t mode = 0) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags) | O_CLOEXEC | O_NOFOLLOW;
  how.mode = mode;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
  const char* const name = path.empty() ? "." : path.c_str();
  return UniqueFd(
      static_cast<int>(retry_eintr([&] { return ::syscall(SYS_openat2, folder.get(), name, &how, sizeof how); })));
}

/// The failure that errno tells, in the words of an archive.
Failure refuse(const std::string& path) {
  if (errno == ELOOP || errno == ENOTDIR) return fail("entry " + shown(path) + " lies below a file or a symlink");
  return fail_errno("make " + shown(path));
}

std::string last_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

std::string random_name() {
  std::uint64_t number = 0;
  if (::getrandom(&number, sizeof number, 0) != sizeof number) number = static_cast<std::uint64_t>(::getpid());
  return std::string(kPrefix) + std::to_string(number);
}

/// What an extraction that was killed has left behind: its lock is free.
void remove_abandoned(const UniqueFd& target) {
  const auto names = list_folder(target, "target");
  if (!names) return;
  for (const std::string& name : *names) {
    if (!name.starts_with(kPrefix)) continue;
    const auto folder = open_at(target, name, O_RDONLY | O_DIRECTORY);
    if (folder && ::flock(folder->get(), LOCK_EX | LOCK_NB) == 0) (void)remove_tree_at(target, name);
  }
}

}  // namespace

Result<Staging> Staging::make(UniqueFd target) {
  remove_abandoned(target);
  for (int tries = 0; tries < kTries; ++tries) {
    std::string name = random_name();
    if (::mkdirat(target.get(), name.c_str(), 0700) != 0) {
      if (errno == EEXIST) continue;
      return fail_errno("make a folder to unpack in");
    }
    auto folder = open_at(target, name, O_RDONLY | O_DIRECTORY);
    struct stat info {};
    const bool ours = folder && ::flock(folder->get(), LOCK_EX) == 0 && ::fstat(folder->get(), &info) == 0;
    if (ours && info.st_nlink > 0) return Staging(std::move(target), std::move(*folder), std::move(name));
    // Somebody who cleans up took it for abandoned before it was locked.
    if (!folder && folder.error().code != std::errc::no_such_file_or_directory) return Failure{folder.error()};
  }
  return fail("make a folder to unpack in: each was removed by somebody else");
}

Staging::Staging(UniqueFd target, UniqueFd folder, std::string name)
    : target_(std::move(target)), folder_(std::move(folder)), name_(std::move(name)) {}

Staging::~Staging() {
  if (target_) (void)remove_tree_at(target_, name_);
}

Result<UniqueFd> Staging::parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string parent = slash == std::string::npos ? "" : path.substr(0, slash);
  UniqueFd fd = open_beneath(folder_, parent, O_PATH | O_DIRECTORY);
  if (fd) return fd;
  if (errno != ENOENT) return refuse(path);
  const UniqueFd above = DEWAR_TRY(parent_of(parent));
  if (::mkdirat(above.get(), last_of(parent).c_str(), kMissingFolder) != 0 && errno != EEXIST) return refuse(parent);
  fd = open_beneath(folder_, parent, O_PATH | O_DIRECTORY);
  if (!fd) return refuse(path);
  return fd;
}

/// Something has the name already: an earlier entry, which the later one replaces.
Result<void> Staging::make_room(const std::string& path, const UniqueFd& parent) {
  const std::string name = last_of(path);
  if (::unlinkat(parent.get(), name.c_str(), 0) == 0 || errno == ENOENT) return {};
  if (errno == EISDIR && (::unlinkat(parent.get(), name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT)) return {};
  if (errno == ENOTEMPTY) return fail("entry " + shown(path) + " would replace a folder that is not empty");
  return fail_errno("replace " + shown(path));
}

Result<void> Staging::add_folder(const std::string& path, mode_t mode, timespec modified) {
  const UniqueFd parent = DEWAR_TRY(parent_of(path));
  const std::string name = last_of(path);
  for (int tries = 0; ::mkdirat(parent.get(), name.c_str(), mode) != 0; ++tries) {
    if (errno != EEXIST || tries == kTries) return refuse(path);
    struct stat info {};
    if (::fstatat(parent.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(info.st_mode)) break;
    DEWAR_TRY(make_room(path, parent));
  }
  if (times_bytes_ > kMostTimesBytes) return {};
  times_bytes_ += path.size() + sizeof modified;
  times_[path] = modified;
  return {};
}

Result<UniqueFd> Staging::add_file(const std::string& path, mode_t mode) {
  for (int tries = 0;; ++tries) {
    UniqueFd fd = open_beneath(folder_, path, O_WRONLY | O_CREAT | O_EXCL, mode);
    if (fd) return fd;
    if ((errno != ENOENT && errno != EEXIST) || tries == kTries) return refuse(path);
    const bool in_the_way = errno == EEXIST;
    const UniqueFd parent = DEWAR_TRY(parent_of(path));
    if (in_the_way) DEWAR_TRY(make_room(path, parent));
  }
}

Result<void> Staging::add_symlink(const std::string& path, const std::string& link_target) {
  const UniqueFd parent = DEWAR_TRY(parent_of(path));
  for (int tries = 0; ::symlinkat(link_target.c_str(), parent.get(), last_of(path).c_str()) != 0; ++tries) {
    if (errno != EEXIST || tries == kTries) return refuse(path);
    DEWAR_TRY(make_room(path, parent));
  }
  return {};
}

Result<void> Staging::add_hard_link(const std::string& path, const std::string& existing) {
  const auto no_such = [&] {
    return fail("hard link " + shown(path) + " to " + shown(existing) + ", which is no file of the archive");
  };
  if (path == existing) return {};
  const UniqueFd parent = DEWAR_TRY(parent_of(path));
  const std::size_t slash = existing.rfind('/');
  const UniqueFd source =
      open_beneath(folder_, slash == std::string::npos ? "" : existing.substr(0, slash), O_PATH | O_DIRECTORY);
  struct stat info {};
  const std::string name = last_of(existing);
  if (!source || ::fstatat(source.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return no_such();
  // A symlink too is told apart: at another depth it would lead elsewhere.
  if (!S_ISREG(info.st_mode)) return no_such();
  for (int tries = 0; ::linkat(source.get(), name.c_str(), parent.get(), last_of(path).c_str(), 0) != 0; ++tries) {
    if (errno != EEXIST || tries == kTries) return fail_errno("link " + shown(path) + " to " + shown(existing));
    DEWAR_TRY(make_room(path, parent));
  }
  return {};
}

Result<UniqueFd> Staging::nameless_file() const {
  const std::string name = random_name();
  UniqueFd fd = DEWAR_TRY(open_at(folder_, name, O_RDWR | O_CREAT | O_EXCL, 0600));
  if (::unlinkat(folder_.get(), name.c_str(), 0) != 0) return fail_errno("remove the name of a temporary file");
  return fd;
}

Result<void> Staging::merge() {
  for (const auto& [path, modified] : times_) {
    const UniqueFd folder = open_beneath(folder_, path, O_RDONLY | O_DIRECTORY);
    const timespec both[2] = {modified, modified};
    if (folder) (void)::futimens(folder.get(), both);  // replaced later by a file: nothing to set
  }
  DEWAR_TRY(merge_trees(folder_, target_));
  return remove_tree_at(std::exchange(target_, {}), name_);
}

}  // namespace dewar
