#include "isolation/disk/project_quota.h"

#include <fcntl.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/files.h"
#include "base/process.h"

namespace dewar {
namespace {

constexpr std::uint64_t kBlock = 1024;  // the unit of dqb_bhardlimit, whatever the file system's own is
constexpr int kMostCollisions = 100;

long quotactl_fd(const UniqueFd& folder, unsigned command, std::uint32_t id, void* argument) {
  return ::syscall(SYS_quotactl_fd, folder.get(), QCMD(command, PRJQUOTA), id, argument);
}

Result<UniqueFd> open_folder(const std::string& path) { return open_file(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW); }

/// Puts a folder, and with it all that will be made in it, into a project; 0 takes it out.
Result<void> enter(const UniqueFd& folder, std::uint32_t id) {
  fsxattr attributes{};
  if (::ioctl(folder.get(), FS_IOC_FSGETXATTR, &attributes) != 0) return fail_errno("read the project of a folder");
  attributes.fsx_projid = id;
  if (id != 0) attributes.fsx_xflags |= FS_XFLAG_PROJINHERIT;
  if (id == 0) attributes.fsx_xflags &= ~static_cast<std::uint32_t>(FS_XFLAG_PROJINHERIT);
  if (::ioctl(folder.get(), FS_IOC_FSSETXATTR, &attributes) != 0)
    return fail_errno("put a folder into project " + std::to_string(id));
  return {};
}

/// A number that nothing was ever counted for is unknown to XFS (ENOENT), and all zeros on ext4.
Result<if_dqblk> read_quota(const UniqueFd& folder, std::uint32_t id) {
  if_dqblk quota{};
  if (quotactl_fd(folder, Q_GETQUOTA, id, &quota) != 0 && errno != ENOENT)
    return fail_errno("read the quota of project " + std::to_string(id));
  return quota;
}

Result<void> check_folder(const UniqueFd& folder, const std::string& path) {
  fs_quota_statv state{};
  state.qs_version = FS_QSTATV_VERSION1;
  if (quotactl_fd(folder, Q_XGETQSTATV, 0, &state) != 0) {
    const bool absent = ::syscall(SYS_quotactl_fd, -1, 0, 0, nullptr) != 0 && errno == ENOSYS;
    return fail(std::errc::not_supported,
                absent ? std::string("this kernel has no quotas, or is older than Linux 5.14 (quotactl_fd)")
                       : "the file system of " + path + " has no quotas (mount it with the option prjquota)");
  }
  if ((state.qs_flags & FS_QUOTA_PDQ_ENFD) == 0)
    return fail(std::errc::not_supported,
                "the file system of " + path + " enforces no project quotas (mount it with the option prjquota)");
  return {};
}

/// Whether nobody was quicker: with all our folders in it, the project holds these and nothing else.
Result<bool> try_claim(const std::vector<UniqueFd>& folders, std::uint32_t id) {
  if (DEWAR_TRY(read_quota(folders.front(), id)).dqb_curinodes != 0) return false;
  Result<void> entered;
  for (const UniqueFd& folder : folders)
    if (entered) entered = enter(folder, id);
  const auto quota = entered ? read_quota(folders.front(), id) : Result<if_dqblk>(Failure{entered.error()});
  if (quota && quota->dqb_curinodes == folders.size()) return true;
  for (const UniqueFd& folder : folders) (void)enter(folder, 0);
  if (!quota) return Failure{quota.error()};
  return false;
}

}  // namespace

Result<void> ProjectQuota::check(const std::string& path) { return check_folder(DEWAR_TRY(open_folder(path)), path); }

Result<ProjectQuota> ProjectQuota::claim(const std::vector<std::string>& paths, const DiskLimits& limits) {
  std::vector<UniqueFd> folders;
  for (const std::string& path : paths) folders.push_back(DEWAR_TRY(open_folder(path)));
  DEWAR_TRY(check_folder(folders.front(), paths.front()));
  // Callers at one time try different numbers. Two that try the same both see that they are two, and both go on.
  std::uint32_t offset = static_cast<std::uint32_t>(::getpid()) * 2654435761u;
  int collisions = 0;
  for (std::uint32_t tries = 0; tries < kCount && collisions < kMostCollisions; ++tries, ++offset) {
    const std::uint32_t id = kFirst + offset % kCount;
    if (DEWAR_TRY(read_quota(folders.front(), id)).dqb_curinodes != 0) continue;
    if (!DEWAR_TRY(try_claim(folders, id))) {
      offset += static_cast<std::uint32_t>(::getpid()) + 1;
      ++collisions;
      continue;
    }
    ProjectQuota quota(std::move(folders.front()), id);
    auto limited = quota.limit(limits);
    if (limited) return quota;
    (void)enter(quota.folder_, 0);
    for (std::size_t i = 1; i < folders.size(); ++i) (void)enter(folders[i], 0);
    return Failure{limited.error()};
  }
  return fail(std::errc::device_or_resource_busy, "find a free project for " + paths.front());
}

Result<ProjectQuota> ProjectQuota::find(const std::string& path) {
  UniqueFd folder = DEWAR_TRY(open_folder(path));
  fsxattr attributes{};
  const bool has = ::ioctl(folder.get(), FS_IOC_FSGETXATTR, &attributes) == 0;
  const std::uint32_t id = attributes.fsx_projid;
  if (!has || id < kFirst || id - kFirst >= kCount || (attributes.fsx_xflags & FS_XFLAG_PROJINHERIT) == 0)
    return fail(std::errc::no_such_file_or_directory, "find the project of " + path);
  const if_dqblk quota = DEWAR_TRY(read_quota(folder, id));
  if (quota.dqb_bhardlimit == 0 && quota.dqb_ihardlimit == 0)
    return fail(std::errc::no_such_file_or_directory, "find the limit of the project of " + path);
  return ProjectQuota(std::move(folder), id);
}

Result<void> ProjectQuota::limit(const DiskLimits& limits) const {
  if_dqblk quota{};
  quota.dqb_bhardlimit = limits.bytes / kBlock;  // down: never more than was asked for
  quota.dqb_ihardlimit = limits.inodes;
  quota.dqb_valid = QIF_LIMITS;
  if (quotactl_fd(folder_, Q_SETQUOTA, id_, &quota) != 0)
    return fail_errno("set the quota of project " + std::to_string(id_));
  return {};
}

Result<DiskUsage> ProjectQuota::usage() const {
  const if_dqblk quota = DEWAR_TRY(read_quota(folder_, id_));
  return DiskUsage{quota.dqb_curspace, quota.dqb_curinodes};
}

}  // namespace dewar
