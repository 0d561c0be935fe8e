#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/files.h"

namespace dewar {
namespace {

constexpr std::size_t kLongestPath = 1000;  // in an error

/// `name` in `dir`, which must be a folder of the same mount; ".." too.
UniqueFd open_folder(const UniqueFd& dir, const std::string& name) {
  open_how how{};
  how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
  return UniqueFd(static_cast<int>(::syscall(SYS_openat2, dir.get(), name.c_str(), &how, sizeof how)));
}

/// A walk that holds only the folder it is in: back up it goes by "..", and looks whether that is where it came from.
class Removal {
 public:
  Result<void> run(UniqueFd dir, const std::string& name) {
    here_ = std::move(dir);
    struct stat info {};
    if (::fstat(here_.get(), &info) != 0) return fail_errno("stat a folder");
    levels_.push_back({"", info.st_ino, {name}});
    for (;;) {
      std::vector<std::string>& left = levels_.back().left;
      if (!left.empty()) {
        const std::string next = std::move(left.back());
        left.pop_back();
        DEWAR_TRY(remove(next));
      } else if (levels_.size() > 1) {
        DEWAR_TRY(leave());
      } else {
        return {};
      }
    }
  }

 private:
  struct Level {
    std::string name;
    ino_t inode;
    std::vector<std::string> left;  ///< names still to be removed
  };

  /// A file at once; a folder is entered.
  Result<void> remove(const std::string& name) {
    if (::unlinkat(here_.get(), name.c_str(), 0) == 0 || errno == ENOENT) return {};
    const int error = errno;
    if (error != EISDIR && error != EPERM) return fail_errno("remove " + path(name));
    UniqueFd folder = open_folder(here_, name);
    if (!folder) {
      if (errno == ENOENT) return {};
      if (errno == EXDEV)
        return fail(std::errc::cross_device_link, "remove " + path(name) + ": something is mounted there");
      if (errno == ENOTDIR) errno = error;
      return fail_errno("remove " + path(name));
    }
    struct stat info {};
    if (::fstat(folder.get(), &info) != 0) return fail_errno("stat " + path(name));
    std::vector<std::string> names = DEWAR_TRY(list_folder(folder, name));
    levels_.push_back({name, info.st_ino, std::move(names)});
    here_ = std::move(folder);
    return {};
  }

  /// Removes the folder we are in, which is empty now, from its parent.
  Result<void> leave() {
    UniqueFd parent = open_folder(here_, "..");
    struct stat info {};
    if (!parent || ::fstat(parent.get(), &info) != 0) return fail_errno("leave " + path(""));
    const std::string name = std::move(levels_.back().name);
    levels_.pop_back();
    if (info.st_ino != levels_.back().inode)
      return fail(std::errc::resource_unavailable_try_again, "remove " + path(name) + ": it is being moved");
    here_ = std::move(parent);
    if (::unlinkat(here_.get(), name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT)
      return fail_errno("remove " + path(name));
    return {};
  }

  std::string path(const std::string& name) const {
    std::string words;
    for (const Level& level : levels_) words += level.name.empty() ? "" : level.name + "/";
    words += name;
    if (words.size() > kLongestPath) words.replace(kLongestPath / 2, words.size() - kLongestPath, "...");
    return words;
  }

  UniqueFd here_;
  std::vector<Level> levels_;  ///< from the folder that holds the tree down to here_
};

}  // namespace

Result<void> remove_tree(const std::string& path) {
  const std::string parent = parent_of(path);
  auto dir = open_file(parent, O_RDONLY | O_DIRECTORY);
  if (!dir && dir.error().code == std::errc::no_such_file_or_directory) return {};
  return Removal().run(DEWAR_TRY(std::move(dir)), path.substr(path.rfind('/') + 1)).context("below " + parent);
}

Result<void> remove_tree_at(const UniqueFd& dir, const std::string& name) {
  UniqueFd copy(::fcntl(dir.get(), F_DUPFD_CLOEXEC, 3));
  if (!copy) return fail_errno("remove " + name);
  return Removal().run(std::move(copy), name);
}

}  // namespace dewar
