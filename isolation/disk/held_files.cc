#include "isolation/disk/held_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <memory>
#include <set>
#include <string>
#include <string_view>

namespace dewar {
namespace {

struct CloseDir {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

/// What proc(5) says of it; costs no look at the file itself.
bool has_no_name(int folder, const char* descriptor) {
  char target[PATH_MAX];
  const ssize_t size = ::readlinkat(folder, descriptor, target, sizeof target);
  return size > 0 && std::string_view(target, static_cast<std::size_t>(size)).ends_with(" (deleted)");
}

}  // namespace

std::uint64_t bytes_held(const std::vector<pid_t>& processes, dev_t device, std::size_t most) {
  std::set<std::uint64_t> seen;
  std::uint64_t bytes = 0;
  for (const pid_t pid : processes) {
    const std::unique_ptr<DIR, CloseDir> folder(::opendir(("/proc/" + std::to_string(pid) + "/fd").c_str()));
    while (const dirent* entry = folder ? ::readdir(folder.get()) : nullptr) {
      if (most-- == 0) return bytes;
      if (!has_no_name(::dirfd(folder.get()), entry->d_name)) continue;
      struct statx info {};
      const int found = ::statx(::dirfd(folder.get()), entry->d_name, AT_STATX_DONT_SYNC,
                                STATX_TYPE | STATX_NLINK | STATX_INO | STATX_BLOCKS, &info);
      const bool counts = found == 0 && S_ISREG(info.stx_mode) && info.stx_nlink == 0 &&
                          ::makedev(info.stx_dev_major, info.stx_dev_minor) == device;
      if (counts && seen.insert(info.stx_ino).second) bytes += info.stx_blocks * 512;
    }
  }
  return bytes;
}

}  // namespace dewar
