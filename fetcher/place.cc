#include "fetcher/place.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "base/files.h"

namespace dewar {
namespace {

/// What is smaller is copied, so that small files (configurations) can be written to.
constexpr off_t kWorthALink = 1 << 20;

/// While it lives, files are looked up and made with the user's rights (setfsuid(2) takes root's file capabilities
/// away too).
class AsUser {
 public:
  explicit AsUser(const PartUser& user) : change_(user.change) {
    if (!change_) return;
    ::setfsgid(user.gid);
    ::setfsuid(user.uid);
  }
  AsUser(const AsUser&) = delete;
  ~AsUser() {
    if (!change_) return;
    ::setfsuid(0);
    ::setfsgid(0);
  }

 private:
  bool change_;
};

/// Until the end of AsUser: others' files may be linked where /proc/sys/fs/protected_hardlinks forbids it.
void own_all_files() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct held[2]{};
  if (::syscall(SYS_capget, &header, held) != 0) return;
  held[0].effective |= held[0].permitted & (1u << CAP_FOWNER);
  ::syscall(SYS_capset, &header, held);
}

UniqueFd open_beneath(const UniqueFd& root, const std::string& path) {
  open_how how{};
  how.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  return UniqueFd(static_cast<int>(::syscall(SYS_openat2, root.get(), path.c_str(), &how, sizeof how)));
}

std::string magic(const UniqueFd& file) { return "/proc/self/fd/" + std::to_string(file.get()); }

/// A name that a file has for the moment between being made and being renamed over an older one.
std::string passing_name(const std::string& name) { return "." + name.substr(0, 200) + ".dewar-new"; }

Result<void> rename_over(const UniqueFd& folder, const std::string& name) {
  const std::string passing = passing_name(name);
  if (::renameat(folder.get(), passing.c_str(), folder.get(), name.c_str()) == 0) {
    ::unlinkat(folder.get(), passing.c_str(), 0);  // rename(2) of two names of one file does nothing
    return {};
  }
  const Failure failure = fail_errno("place " + name);
  ::unlinkat(folder.get(), passing.c_str(), 0);
  return failure;
}

Result<void> copy_bytes(const UniqueFd& from, const UniqueFd& to) {
  off_t at = 0;
  for (;;) {
    const ssize_t n = ::copy_file_range(from.get(), &at, to.get(), nullptr, 1u << 30, 0);
    if (n == 0) return {};
    if (n < 0 && errno != EINTR) break;
  }
  if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG) return fail_errno("copy from the cache");
  std::vector<char> block(1u << 20);  // between file systems that cannot do it themselves
  for (;;) {
    const ssize_t n = retry_eintr([&] { return ::pread(from.get(), block.data(), block.size(), at); });
    if (n < 0) return fail_errno("copy from the cache");
    if (n == 0) return {};
    DEWAR_TRY(write_all(to.get(), {block.data(), static_cast<std::size_t>(n)}, "copy from the cache"));
    at += n;
  }
}

}  // namespace

Result<UniqueFd> open_folder_in(const PartUser& user, const UniqueFd& root, const std::string& path) {
  const AsUser as_user(user);
  UniqueFd folder = open_beneath(root, ".");
  for (std::size_t at = 0; folder && at < path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string name = path.substr(at, end - at);
    at = end + 1;
    if (name.empty() || name == ".") continue;
    if (::mkdirat(folder.get(), name.c_str(), 0755) != 0 && errno != EEXIST) return fail_errno("make folder " + path);
    // From the root again, so that ".." in a link's target cannot leave it.
    folder = open_beneath(root, path.substr(0, end));
  }
  if (!folder) return fail_errno("open folder " + (path.empty() ? "." : path) + " in the sandbox");
  return folder;
}

Result<UniqueFd> stage_in(const PartUser& user, const UniqueFd& folder) {
  const AsUser as_user(user);
  UniqueFd file(::openat(folder.get(), ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600));
  if (!file) return fail_errno("make a file in the sandbox");
  return file;
}

Result<void> place_staged(const PartUser& user, const UniqueFd& staged, const UniqueFd& folder, const std::string& name,
                          bool executable) {
  const AsUser as_user(user);
  if (::fchmod(staged.get(), executable ? 0755 : 0644) != 0) return fail_errno("place " + name);
  const std::string passing = passing_name(name);
  ::unlinkat(folder.get(), passing.c_str(), 0);
  if (::linkat(AT_FDCWD, magic(staged).c_str(), folder.get(), passing.c_str(), AT_SYMLINK_FOLLOW) != 0)
    return fail_errno("place " + name);
  return rename_over(folder, name);
}

Result<PlacedBy> place_entry(const PartUser& user, const UniqueFd& entry, const UniqueFd& folder,
                             const std::string& name, bool executable) {
  const UniqueFd staged = DEWAR_TRY(stage_in(user, folder));
  PlacedBy by = PlacedBy::kClone;
  if (::ioctl(staged.get(), FICLONE, entry.get()) != 0) {
    struct stat info {};
    if (::fstat(entry.get(), &info) != 0) return fail_errno("place " + name);
    // Root, inside or outside a task, could write to a link of what others trust.
    const bool may_link = user.change && user.uid != 0 && !executable && info.st_size >= kWorthALink;
    if (may_link) {
      const AsUser as_user(user);
      own_all_files();
      const std::string passing = passing_name(name);
      ::unlinkat(folder.get(), passing.c_str(), 0);
      if (::linkat(AT_FDCWD, magic(entry).c_str(), folder.get(), passing.c_str(), AT_SYMLINK_FOLLOW) == 0) {
        DEWAR_TRY(rename_over(folder, name));
        return PlacedBy::kLink;
      }
    }
    by = PlacedBy::kCopy;
    DEWAR_TRY(copy_bytes(entry, staged));
  }
  DEWAR_TRY(place_staged(user, staged, folder, name, executable));
  return by;
}

}  // namespace dewar
