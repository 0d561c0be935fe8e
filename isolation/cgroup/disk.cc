#include "isolation/cgroup/disk.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/files.h"

namespace dewar {

Result<std::string> disk_below(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return fail_errno("find the disk below " + path);
  const std::string device = std::to_string(major(info.st_dev)) + ":" + std::to_string(minor(info.st_dev));
  const std::string entry = "/sys/dev/block/" + device;  // see sysfs-block in the kernel's ABI/stable
  if (!exists(entry))
    return fail("limiting io: the file system of " + path +
                " is on no disk of its own (tmpfs, btrfs, overlayfs and network file systems are not): leave the rates "
                "out, or choose another --work-dir");
  if (!exists(entry + "/partition")) return device;
  std::string disk = DEWAR_TRY(read_file(entry + "/../dev"));
  while (disk.ends_with('\n')) disk.pop_back();
  return disk;
}

}  // namespace dewar
