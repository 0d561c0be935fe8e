#include "isolation/disk/folder_scan.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <string_view>

namespace dewar {
namespace {

constexpr int kBetweenLooks = 64;  // entries between two looks at the clock
constexpr std::uint64_t kSector = 512;
constexpr std::uint64_t kMostHole = std::uint64_t{1} << 40;  // so that no sum of them overflows

std::uint64_t bytes_of(const struct stat& info) { return static_cast<std::uint64_t>(info.st_blocks) * kSector; }

void add(const struct stat& info, FolderSum& sum) {
  const std::uint64_t bytes = bytes_of(info), names = std::max<std::uint64_t>(info.st_nlink, 1);
  sum.bytes += (bytes + names - 1) / names;
  ++sum.inodes;
  const auto length = static_cast<std::uint64_t>(info.st_size);
  if (S_ISREG(info.st_mode) && length > bytes) sum.holes += std::min(length - bytes, kMostHole);
}

}  // namespace

Result<FolderScan> FolderScan::open(UniqueFd folder) {
  struct stat info {};
  if (::fstat(folder.get(), &info) != 0) return fail_errno("stat a folder");
  FolderScan scan;
  scan.inode_ = info.st_ino;
  scan.device_ = info.st_dev;
  scan.sum_ = {bytes_of(info), 1, 0};
  scan.stream_.reset(::fdopendir(folder.get()));
  if (!scan.stream_) return fail_errno("list a folder");
  folder.release();  // the stream owns it now
  return scan;
}

FolderScan::Stop FolderScan::go_on(const Clock& clock, Time deadline, Subfolder& subfolder) {
  for (int entries = 1;; ++entries) {
    const dirent* entry = ::readdir(stream_.get());
    if (entry == nullptr) return Stop::kEnd;  // on an error too: what cannot be listed cannot be counted
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    struct stat info {};
    constexpr int kNoDetours = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;
    const bool there = ::fstatat(fd(), entry->d_name, &info, kNoDetours) == 0;
    if (there && info.st_dev == device_) {
      if (S_ISDIR(info.st_mode)) {
        subfolder = {std::string(name), info.st_ino};
        return Stop::kSubfolder;
      }
      add(info, sum_);
    }
    if (entries % kBetweenLooks == 0 && clock.now() >= deadline) return Stop::kDeadline;
  }
}

}  // namespace dewar
