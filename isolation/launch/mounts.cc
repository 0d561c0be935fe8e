#include "isolation/launch/mounts.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

#include "base/unique_fd.h"
#include "isolation/launch/steps.h"

namespace dewar {
namespace {

/// Opens a path beneath `root` as if that were "/": no "..", symlink or magic link leads out of it.
UniqueFd open_inside(int root, const std::string& path, std::uint64_t flags) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.mode = (flags & O_CREAT) ? 0644 : 0;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  return UniqueFd(static_cast<int>(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how)));
}

/// Makes and opens a folder inside, with what is missing on the way.
UniqueFd make_folder(int root, const std::string& path) {
  UniqueFd folder = open_inside(root, path.empty() ? "/" : path, O_PATH | O_DIRECTORY);
  if (folder || errno != ENOENT) return folder;
  const std::size_t slash = path.rfind('/');
  const UniqueFd parent = make_folder(root, slash == std::string::npos ? "" : path.substr(0, slash));
  if (!parent) return {};
  const std::string name = path.substr(slash + 1);
  if (!name.empty() && ::mkdirat(parent.get(), name.c_str(), 0755) != 0 && errno != EEXIST) return {};
  return open_inside(root, path, O_PATH | O_DIRECTORY);
}

/// The folder in which `target` lies, and its last component.
struct Place {
  UniqueFd parent;
  std::string name;
};

Place place_of(int root, const std::string& target) {
  const std::size_t slash = target.rfind('/');
  if (slash == std::string::npos) return {make_folder(root, ""), target};
  return {make_folder(root, target.substr(0, slash)), target.substr(slash + 1)};
}

/// Makes (unless it is there) and opens a mount point of the kind that is to be mounted there.
UniqueFd make_mount_point(int root, const std::string& target, bool folder) {
  if (folder) return make_folder(root, target);
  UniqueFd there = open_inside(root, target, O_PATH);
  if (there || errno != ENOENT) return there;
  const Place place = place_of(root, target);
  if (!place.parent) return {};
  const UniqueFd made(
      ::openat(place.parent.get(), place.name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!made) return {};
  return open_inside(root, target, O_PATH);
}

/// mount_setattr(2) on a mount that a descriptor stands for.
bool set_attributes(int mount, std::uint64_t set, bool with_all_below) {
  mount_attr attributes{};
  attributes.attr_set = set;
  const unsigned flags = AT_EMPTY_PATH | (with_all_below ? AT_RECURSIVE : 0u);
  return ::syscall(SYS_mount_setattr, mount, "", flags, &attributes, sizeof attributes) == 0;
}

bool attach(int mount, int target) {
  return ::syscall(SYS_move_mount, mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) == 0;
}

/// A mount that lies nowhere yet, of a file system of its own. `options` as for mount(2).
UniqueFd new_mount(const char* type, std::string_view options, std::uint64_t attributes) {
  const UniqueFd context(static_cast<int>(::syscall(SYS_fsopen, type, FSOPEN_CLOEXEC)));
  if (!context) return {};
  const auto configure = [&](unsigned command, const char* key, const char* value) {
    return ::syscall(SYS_fsconfig, context.get(), command, key, value, 0) == 0;
  };
  configure(FSCONFIG_SET_STRING, "source", "dewar");
  while (!options.empty()) {
    const std::string option(options.substr(0, options.find(',')));
    options.remove_prefix(std::min(options.size(), option.size() + 1));
    const std::size_t equals = option.find('=');
    const bool done = equals == std::string::npos ? configure(FSCONFIG_SET_FLAG, option.c_str(), nullptr)
                                                  : configure(FSCONFIG_SET_STRING, option.substr(0, equals).c_str(),
                                                              option.c_str() + equals + 1);
    if (!done) return {};
  }
  if (!configure(FSCONFIG_CMD_CREATE, nullptr, nullptr)) return {};
  return UniqueFd(static_cast<int>(::syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, attributes)));
}

UniqueFd copy_of_mount(int folder, const char* path) {
  const unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (*path ? AT_RECURSIVE : AT_EMPTY_PATH);
  return UniqueFd(static_cast<int>(::syscall(SYS_open_tree, folder, path, flags)));
}

bool is_folder(int fd) {
  struct stat info {};
  return ::fstat(fd, &info) == 0 && S_ISDIR(info.st_mode);
}

constexpr std::uint64_t kQuiet = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

/// Carries out the mounts, one method per kind; each returns false with errno.
class RootBuilder {
 public:
  RootBuilder(int root, int empty_folder) : root_(root), empty_folder_(empty_folder) {}

  bool carry_out(const MountOp& op) {
    switch (op.kind) {
      case MountKind::kBind:
        return bind(op);
      case MountKind::kTmpfs:
        return tmpfs(op);
      case MountKind::kProc:
        return mount_new("proc", op, kQuiet);
      case MountKind::kSysfs:
        return mount_new("sysfs", op, kQuiet);
      case MountKind::kDevpts:
        return mount_new("devpts", op, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
      case MountKind::kMqueue:
        return mount_new("mqueue", op, kQuiet);
      case MountKind::kSymlink:
        return symlink(op);
      case MountKind::kFolder:
        return folder(op);
      case MountKind::kMask:
        return mask(op);
    }
    errno = EINVAL;
    return false;
  }

  /// Makes the tmpfs mounts read-only that are to be, now that all others lie on them.
  bool seal() const {
    for (const UniqueFd& mount : to_seal_) {
      if (!set_attributes(mount.get(), MOUNT_ATTR_RDONLY, false)) return false;
    }
    return true;
  }

 private:
  bool bind(const MountOp& op) {
    const UniqueFd tree = copy_of_mount(AT_FDCWD, op.source.c_str());
    if (!tree) return op.optional && errno == ENOENT;
    const std::uint64_t attributes =
        MOUNT_ATTR_NOSUID | (op.read_only ? MOUNT_ATTR_RDONLY : 0) | (op.devices ? 0 : MOUNT_ATTR_NODEV);
    if (!set_attributes(tree.get(), attributes, true)) return false;
    const UniqueFd target = make_mount_point(root_, op.target, is_folder(tree.get()));
    return target && attach(tree.get(), target.get());
  }

  bool mount_new(const char* type, const MountOp& op, std::uint64_t attributes) {
    const UniqueFd mount = new_mount(type, op.options, attributes | (op.read_only ? MOUNT_ATTR_RDONLY : 0));
    if (!mount) return false;
    const UniqueFd target = make_folder(root_, op.target);
    return target && attach(mount.get(), target.get());
  }

  bool tmpfs(const MountOp& op) {
    UniqueFd mount = new_mount("tmpfs", op.options, MOUNT_ATTR_NOSUID | (op.devices ? 0 : MOUNT_ATTR_NODEV));
    if (!mount) return false;
    const UniqueFd target = make_folder(root_, op.target);
    if (!target || !attach(mount.get(), target.get())) return false;
    if (op.read_only) to_seal_.push_back(std::move(mount));
    return true;
  }

  bool symlink(const MountOp& op) {
    const Place place = place_of(root_, op.target);
    return place.parent && ::symlinkat(op.source.c_str(), place.parent.get(), place.name.c_str()) == 0;
  }

  bool folder(const MountOp& op) {
    if (!make_folder(root_, op.target)) return false;
    if (!op.options.starts_with("mode=")) return true;
    const UniqueFd made = open_inside(root_, op.target, O_RDONLY | O_DIRECTORY);
    return made && ::fchmod(made.get(), static_cast<mode_t>(std::strtoul(op.options.c_str() + 5, nullptr, 8))) == 0;
  }

  bool mask(const MountOp& op) {
    const UniqueFd target = open_inside(root_, op.target, O_PATH);
    if (!target) return op.optional && errno == ENOENT;
    const bool whole_folder = is_folder(target.get());
    const UniqueFd cover = whole_folder ? copy_of_mount(empty_folder_, "") : copy_of_mount(AT_FDCWD, "/dev/null");
    const std::uint64_t attributes =
        MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | (whole_folder ? MOUNT_ATTR_NODEV : 0);
    return cover && set_attributes(cover.get(), attributes, false) && attach(cover.get(), target.get());
  }

  int root_, empty_folder_;
  std::vector<UniqueFd> to_seal_;
};

/// Whether `fd` is what "/" is: the same folder, seen through the same mount.
bool is_root(int fd) {
  struct statx here {
  }, there{};
  return ::statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_MNT_ID, &here) == 0 &&
         ::statx(AT_FDCWD, "/", 0, STATX_INO | STATX_MNT_ID, &there) == 0 && here.stx_ino == there.stx_ino &&
         here.stx_mnt_id == there.stx_mnt_id;
}

/// Nothing that happens here may reach the host, nor the other way round; for that we must stand on the bottom of our
/// namespace's mounts. Where dewar itself was started in a chroot(2) that is the host's root, which setns(2) would also
/// make the root of attempts: there the tree that we see is laid over it.
void make_mounts_private(const Reporter& report) {
  const UniqueFd seen(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  const UniqueFd self(::open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
  if (!seen || !self || ::setns(self.get(), CLONE_NEWNS) != 0 ||  // to where we are: it moves only the root
      ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    report.refuse(step::kPrivateMounts);
  if (is_root(seen.get())) return;
  const UniqueFd tree(::open_tree(seen.get(), "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_EMPTY_PATH));
  if (!tree || ::move_mount(tree.get(), "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) != 0 || ::fchdir(tree.get()) != 0 ||
      ::chroot(".") != 0)
    report.refuse(step::kPrivateMounts, "in a chroot");
}

void pivot_into(int root, const Reporter& report) {
  // Both places the same: the old root lies over the new one and is taken off again (pivot_root(2), "pivot_root(".",
  // ".")").
  if (::fchdir(root) != 0 || ::syscall(SYS_pivot_root, ".", ".") != 0 || ::umount2(".", MNT_DETACH) != 0 ||
      ::chdir("/") != 0)
    report.refuse(step::kPivotRoot);
}

}  // namespace

void build_root(const std::string& root, const std::vector<MountOp>& mounts, const Reporter& report) {
  make_mounts_private(report);
  const UniqueFd empty(::open(root.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!empty) report.refuse(step::kRoot, root);
  const UniqueFd base = new_mount("tmpfs", "mode=0755,size=1m", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
  if (!base || !attach(base.get(), empty.get())) report.refuse(step::kRoot, root);

  RootBuilder builder(base.get(), empty.get());
  for (const MountOp& op : mounts) {
    if (!builder.carry_out(op)) {
      report.refuse(step::kMount, op.source.empty() ? op.target : op.source + " at " + op.target);
    }
  }
  pivot_into(base.get(), report);
  if (!builder.seal() || !set_attributes(base.get(), MOUNT_ATTR_RDONLY, false)) report.refuse(step::kReadOnlyRoot);
}

}  // namespace dewar
