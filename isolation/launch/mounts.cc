#include "isolation/launch/mounts.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

#include "base/unique_fd.h"
#include "isolation/launch/inside.h"
#include "isolation/launch/steps.h"

namespace dewar {
namespace {

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

constexpr std::uint64_t kQuiet = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

/// Carries out the mounts, one method per kind; each returns false with errno.
class RootBuilder {
 public:
  /// Folders that are made on request belong to `owner`.
  RootBuilder(int root, int empty_folder, uid_t owner) : root_(root), empty_folder_(empty_folder), owner_(owner) {}

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
  /// Most steps lie in the folder of the one before, which is not looked up again. (What one of them mounts lies in
  /// that folder, and so changes nothing about the way there; others forget it.)
  const Place& place_for(const MountOp& op) {
    const std::size_t slash = op.target.rfind('/') + 1;  // 0: there is none
    std::string folder = op.target.substr(0, slash), name = op.target.substr(slash);
    if (place_.parent && folder == folder_ && is_plain_name(name)) {
      place_.name = std::move(name);
    } else {
      place_ = place_of(root_, op.target);
      folder_ = std::move(folder);
    }
    return place_;
  }

  bool bind(const MountOp& op) {
    const UniqueFd tree = copy_of_mount(AT_FDCWD, op.source.c_str());
    if (!tree) return op.optional && errno == ENOENT;
    const std::uint64_t attributes =
        MOUNT_ATTR_NOSUID | (op.read_only ? MOUNT_ATTR_RDONLY : 0) | (op.devices ? 0 : MOUNT_ATTR_NODEV);
    if (!set_attributes(tree.get(), attributes, true)) return false;
    const UniqueFd target = make_mount_point(place_for(op), is_folder(tree.get()));
    return target && attach(tree.get(), target.get());
  }

  bool mount_new(const char* type, const MountOp& op, std::uint64_t attributes) {
    const UniqueFd mount = new_mount(type, op.options, attributes | (op.read_only ? MOUNT_ATTR_RDONLY : 0));
    if (!mount) return false;
    const UniqueFd target = make_mount_point(place_for(op), true);
    return target && attach(mount.get(), target.get());
  }

  bool tmpfs(const MountOp& op) {
    UniqueFd mount = new_mount("tmpfs", op.options, MOUNT_ATTR_NOSUID | (op.devices ? 0 : MOUNT_ATTR_NODEV));
    if (!mount) return false;
    const UniqueFd target = make_mount_point(place_for(op), true);
    if (!target || !attach(mount.get(), target.get())) return false;
    if (op.read_only) to_seal_.push_back(std::move(mount));
    return true;
  }

  bool symlink(const MountOp& op) {
    const Place& place = place_for(op);
    return place.parent && ::symlinkat(op.source.c_str(), place.parent.get(), place.name.c_str()) == 0;
  }

  bool folder(const MountOp& op) {
    place_.parent.reset();
    if (!make_folder(root_, op.target)) return false;
    const UniqueFd made = open_inside(root_, op.target, O_RDONLY | O_DIRECTORY);
    if (!made || ::fchown(made.get(), owner_, owner_) != 0) return false;
    if (!op.options.starts_with("mode=")) return true;
    return ::fchmod(made.get(), static_cast<mode_t>(std::strtoul(op.options.c_str() + 5, nullptr, 8))) == 0;
  }

  bool mask(const MountOp& op) {
    place_.parent.reset();
    const UniqueFd target = open_inside(root_, op.target, O_PATH);
    if (!target) return op.optional && errno == ENOENT;
    const bool whole_folder = is_folder(target.get());
    const UniqueFd cover = whole_folder ? copy_of_mount(empty_folder_, "") : copy_of_mount(AT_FDCWD, "/dev/null");
    const std::uint64_t attributes =
        MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | (whole_folder ? MOUNT_ATTR_NODEV : 0);
    return cover && set_attributes(cover.get(), attributes, false) && attach(cover.get(), target.get());
  }

  int root_, empty_folder_;
  uid_t owner_;
  Place place_;         ///< of the step before
  std::string folder_;  ///< where that was
  std::vector<UniqueFd> to_seal_;
};

/// A folder at `parent`/`name`, made if need be, as what a descriptor stands for to those who want a path.
class OverlayPart {
 public:
  OverlayPart(int parent, const char* name) {
    if (::mkdirat(parent, name, 0755) != 0 && errno != EEXIST) return;
    fd_.reset(::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  }
  explicit operator bool() const { return static_cast<bool>(fd_); }
  int get() const { return fd_.get(); }
  /// What is mounted here, or where: a descriptor of it instead.
  void become(UniqueFd fd) { fd_ = std::move(fd); }
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_.get()); }

 private:
  UniqueFd fd_;
};

/// Shows the ids of the image as those of the user namespace: its root's files belong to the root inside. Where the
/// kernel or the file system cannot (before Linux 5.19 none under an overlay), they belong to nobody inside, and their
/// modes say what can be done with them.
void map_ids(int mount, int user_namespace) {
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_IDMAP;
  attributes.userns_fd = static_cast<std::uint64_t>(user_namespace);
  (void)::syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH, &attributes, sizeof attributes);
}

/// The image under a layer that takes all changes; without one of the task's own the layer lies in `base`, where it
/// holds nothing but mount points. The kernel is told to follow no hints that an image could have planted in its
/// attributes (redirect_dir, metacopy; see its overlayfs.rst).
UniqueFd overlay_image(const ContainerRecipe& recipe, int base, int user_namespace) {
  UniqueFd layer;
  if (!recipe.layer.empty()) {
    layer.reset(::open(recipe.layer.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!layer) return {};
  }
  OverlayPart lower(base, "lower"), root(base, "root");
  const OverlayPart upper(layer ? layer.get() : base, "upper"), work(layer ? layer.get() : base, "work");
  if (!lower || !root || !upper || !work) return {};
  if (::fchmod(upper.get(), 0755) != 0 || ::fchown(upper.get(), recipe.first_id, recipe.first_id) != 0) return {};

  const UniqueFd image(::open(recipe.image.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!image) return {};
  UniqueFd tree(
      static_cast<int>(::syscall(SYS_open_tree, image.get(), "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH)));
  if (!tree || !set_attributes(tree.get(), MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, false)) return {};
  if (user_namespace >= 0) map_ids(tree.get(), user_namespace);
  if (!attach(tree.get(), lower.get())) return {};
  lower.become(std::move(tree));

  const std::string options = "lowerdir=" + lower.path() + ",upperdir=" + upper.path() + ",workdir=" + work.path() +
                              ",redirect_dir=off,metacopy=off,index=off";
  UniqueFd overlay = new_mount("overlay", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
  if (!overlay || !attach(overlay.get(), root.get())) return {};
  return overlay;
}

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

void build_root(const ContainerRecipe& recipe, int user_namespace, const Reporter& report) {
  make_mounts_private(report);
  const UniqueFd empty(::open(recipe.root.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!empty) report.refuse(step::kRoot, recipe.root);
  UniqueFd base = new_mount("tmpfs", "mode=0755,size=1m", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
  if (!base || !attach(base.get(), empty.get())) report.refuse(step::kRoot, recipe.root);
  if (!recipe.image.empty()) {
    base = overlay_image(recipe, base.get(), user_namespace);
    if (!base) report.refuse(step::kImage, recipe.image);
  }

  RootBuilder builder(base.get(), empty.get(), recipe.first_id);
  for (const MountOp& op : recipe.mounts) {
    if (!builder.carry_out(op)) {
      report.refuse(step::kMount, op.source.empty() ? op.target : op.source + " at " + op.target);
    }
  }
  pivot_into(base.get(), report);
  const bool read_only = recipe.layer.empty();
  if (!builder.seal() || (read_only && !set_attributes(base.get(), MOUNT_ATTR_RDONLY, false)))
    report.refuse(step::kReadOnlyRoot);
}

}  // namespace dewar
