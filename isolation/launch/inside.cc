#include "isolation/launch/inside.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace dewar {
namespace {

constexpr int kTries = 16;  // against somebody who puts a symlink back as often as we take it away

mode_t mode_of(int fd) {
  struct stat info {};
  return ::fstat(fd, &info) == 0 ? info.st_mode : 0;
}

}  // namespace

bool is_folder(int fd) { return S_ISDIR(mode_of(fd)); }

UniqueFd open_inside(int root, const std::string& path, int flags) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags) | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  // EAGAIN: something was renamed while the kernel looked, and it could not rule out an escape (openat2(2)).
  for (int tries = 0;; ++tries) {
    UniqueFd fd(static_cast<int>(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how)));
    if (fd || errno != EAGAIN || tries == kTries) return fd;
  }
}

UniqueFd make_folder(int root, const std::string& path) {
  UniqueFd folder = open_inside(root, path.empty() ? "/" : path, O_PATH | O_DIRECTORY);
  if (folder || errno != ENOENT || path.empty()) return folder;
  const std::size_t slash = path.rfind('/');
  const UniqueFd parent = make_folder(root, slash == std::string::npos ? "" : path.substr(0, slash));
  if (!parent) return {};
  const std::string name = path.substr(slash + 1);
  if (!name.empty() && ::mkdirat(parent.get(), name.c_str(), 0755) != 0 && errno != EEXIST) return {};
  return open_inside(root, path, O_PATH | O_DIRECTORY);
}

bool is_plain_name(const std::string& name) { return !name.empty() && name != "." && name != ".."; }

Place place_of(int root, const std::string& path) {
  const std::size_t slash = path.rfind('/');
  Place place{{}, path.substr(slash == std::string::npos ? 0 : slash + 1)};
  if (!is_plain_name(place.name)) {
    errno = EINVAL;
    return place;
  }
  place.parent = make_folder(root, slash == std::string::npos ? "" : path.substr(0, slash));
  return place;
}

UniqueFd make_mount_point(const Place& place, bool folder) {
  if (!place.parent) return {};
  const int parent = place.parent.get();
  const char* name = place.name.c_str();
  for (int tries = 0; tries < kTries; ++tries) {
    if (folder) {
      if (::mkdirat(parent, name, 0755) != 0 && errno != EEXIST) return {};
    } else {
      UniqueFd made(::openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
      if (made || errno != EEXIST) return made;
    }
    UniqueFd there(::openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (const mode_t mode = there ? mode_of(there.get()) : 0; mode != 0 && !S_ISLNK(mode)) {
      if (S_ISDIR(mode) == folder) return there;
      if (!folder) {
        errno = EISDIR;
        return {};
      }
    }
    if (!there && errno != ENOENT) return {};
    if (there && ::unlinkat(parent, name, 0) != 0 && errno != ENOENT) return {};
  }
  errno = ELOOP;
  return {};
}

}  // namespace dewar
