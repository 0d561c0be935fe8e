#include "isolation/image/tree_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "base/files.h"
#include "isolation/launch/inside.h"

namespace dewar {
namespace {

constexpr std::string_view kWhiteout = ".wh.", kOpaque = ".wh..wh..opq", kReservedWhiteout = ".wh..wh.";

/// One line that a terminal can be shown.
std::string shown(const std::string& path) {
  std::string text = "'" + path.substr(0, 200) + "'";
  std::ranges::replace_if(
      text, [](unsigned char c) { return c < 32 || c == 127; }, '?');
  return text;
}

bool stat_at(int parent, const std::string& name, struct stat& info) {
  return ::fstatat(parent, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0;
}

Result<void> remove_at(int parent, const std::string& name) {
  const UniqueFd folder(::openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return fail_errno("open the folder of " + shown(name));
  return remove_tree_at(folder, name);
}

}  // namespace

/// The path without a leading "/" or "./", "" for the root itself.
Result<std::string> TreeWriter::checked(const std::string& path) const {
  std::string clean;
  std::size_t depth = 0;
  for (std::size_t at = 0; at < path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string part = path.substr(at, end - at);
    at = end + 1;
    if (part.empty() || part == ".") continue;
    if (part == "..") return fail(shown(path) + " leads out of the image with '..'");
    if (part.size() > 255) return fail(shown(path) + ": a name is longer than 255 bytes");
    if (part.find('\0') != std::string::npos) return fail(shown(path) + " has a NUL in it");
    clean += (clean.empty() ? "" : "/") + part;
    ++depth;
  }
  if (depth > limits_.depth)
    return fail(shown(path) + " is more than " + std::to_string(limits_.depth) + " folders deep");
  return clean;
}

/// Takes away what earlier layers left in `folder`. True if it holds something of this layer, which stays.
Result<bool> TreeWriter::remove_older(int folder) {
  const UniqueFd readable(::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!readable) return fail_errno("open a folder that becomes opaque");
  bool kept_some = false;
  for (const std::string& name : DEWAR_TRY(list_folder(readable, "a folder that becomes opaque"))) {
    struct stat info {};
    if (!stat_at(readable.get(), name, info)) continue;
    bool keep = ours_.contains(info.st_ino);
    if (S_ISDIR(info.st_mode)) {
      const UniqueFd below(::openat(readable.get(), name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!below) return fail_errno("open " + shown(name));
      keep = DEWAR_TRY(remove_older(below.get())) || keep;
    }
    if (!keep) DEWAR_TRY(remove_tree_at(readable, name));
    kept_some = kept_some || keep;
  }
  return kept_some;
}

Result<void> TreeWriter::white_out(int parent, const std::string& name) {
  if (name == kOpaque) {
    DEWAR_TRY(remove_older(parent));
    return {};
  }
  if (name.starts_with(kReservedWhiteout)) return {};  // other notes of AUFS
  const std::string hidden = name.substr(kWhiteout.size());
  if (hidden.empty() || hidden == "." || hidden == "..") return fail(shown(name) + " takes nothing away");
  struct stat info {};
  if (!stat_at(parent, hidden, info)) return {};
  if (!S_ISDIR(info.st_mode)) return ours_.contains(info.st_ino) ? Result<void>{} : remove_at(parent, hidden);
  const UniqueFd folder(::openat(parent, hidden.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder) return fail_errno("open " + shown(hidden));
  if (DEWAR_TRY(remove_older(folder.get())) || ours_.contains(info.st_ino)) return {};
  return remove_at(parent, hidden);
}

/// Takes away what stands where an entry comes, unless both are folders.
Result<void> TreeWriter::make_way(int parent, const std::string& name, const TreeEntry& entry) {
  struct stat info {};
  if (!stat_at(parent, name, info)) return {};
  if (S_ISDIR(info.st_mode) && entry.kind == TreeEntry::Kind::kFolder) return {};
  return remove_at(parent, name);
}

/// Owner, mode and time of what was just made, and that it is ours.
Result<void> TreeWriter::own(int parent, const std::string& name, const TreeEntry& entry) {
  const timespec times[2] = {{0, UTIME_NOW}, entry.modified};
  if (::fchownat(parent, name.c_str(), entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW) != 0)
    return fail_errno("give " + shown(entry.path) + " to its owner");
  if (entry.kind == TreeEntry::Kind::kFifo && ::fchmodat(parent, name.c_str(), entry.mode & 0777, 0) != 0)
    return fail_errno("set the mode of " + shown(entry.path));
  if (entry.kind != TreeEntry::Kind::kFolder) (void)::utimensat(parent, name.c_str(), times, AT_SYMLINK_NOFOLLOW);
  struct stat info {};
  if (stat_at(parent, name, info)) ours_.insert(info.st_ino);
  return {};
}

Result<void> TreeWriter::make_folder_entry(int parent, const std::string& name, const TreeEntry& entry) {
  if (::mkdirat(parent, name.c_str(), 0700) != 0 && errno != EEXIST) return fail_errno("make " + shown(entry.path));
  DEWAR_TRY(own(parent, name, entry));
  const UniqueFd made(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!made || ::fchmod(made.get(), entry.mode & 07777 & ~S_ISUID) != 0)
    return fail_errno("set the mode of " + shown(entry.path));
  folder_times_.emplace_back(entry.path, entry.modified);
  return {};
}

Result<UniqueFd> TreeWriter::make_file(int parent, const std::string& name, const TreeEntry& entry) {
  if (entry.size > limits_.bytes - std::min(limits_.bytes, count_.bytes))
    return fail(std::errc::file_too_large,
                shown(entry.path) + ": the image has more than " + std::to_string(limits_.bytes) + " bytes");
  count_.bytes += entry.size;
  UniqueFd made(::openat(parent, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!made) return fail_errno("make " + shown(entry.path));
  struct stat info {};
  if (::fstat(made.get(), &info) == 0) ours_.insert(info.st_ino);
  return made;
}

Result<void> TreeWriter::finish_file(const UniqueFd& file, const TreeEntry& entry) {
  const timespec times[2] = {{0, UTIME_NOW}, entry.modified};
  if (::ftruncate(file.get(), static_cast<off_t>(entry.size)) != 0 ||  // a sparse file may end in a hole
      ::fchown(file.get(), entry.uid, entry.gid) != 0 || ::fchmod(file.get(), entry.mode & 0777) != 0)
    return fail_errno("finish " + shown(entry.path));
  (void)::futimens(file.get(), times);
  return {};
}

/// Never through a symlink in the last component, so a later name of a symlink is another name of that symlink.
Result<void> TreeWriter::link_file(int parent, const std::string& name, const std::string& path,
                                   const TreeEntry& entry) {
  const std::string target = DEWAR_TRY(checked(entry.link));
  if (target == path) return {};
  const std::size_t slash = target.rfind('/');
  const std::string folder = slash == std::string::npos ? "/" : "/" + target.substr(0, slash);
  const std::string file = target.substr(slash == std::string::npos ? 0 : slash + 1);
  const UniqueFd from = open_inside(root_, folder, O_PATH | O_DIRECTORY);
  struct stat info {};
  if (!from || file.empty() || !stat_at(from.get(), file, info) || S_ISDIR(info.st_mode))
    return fail(shown(entry.path) + " is a hard link to " + shown(entry.link) + ", which is no file of the image");
  DEWAR_TRY(make_way(parent, name, entry));
  if (::linkat(from.get(), file.c_str(), parent, name.c_str(), 0) != 0) return fail_errno("link " + shown(entry.path));
  ours_.insert(info.st_ino);
  return {};
}

Result<UniqueFd> TreeWriter::add(const TreeEntry& entry) {
  const std::string path = DEWAR_TRY(checked(entry.path));
  if (++count_.entries > limits_.entries)
    return fail(std::errc::file_too_large, "the image has more than " + std::to_string(limits_.entries) + " entries");
  if (path.empty()) return UniqueFd();  // the root itself: a sandbox makes its own
  const Place place = place_of(root_, "/" + path);
  if (!place.parent) return fail_errno("make the folder of " + shown(entry.path));
  const int parent = place.parent.get();
  if (whiteouts_ && place.name.starts_with(kWhiteout)) {
    DEWAR_TRY(white_out(parent, place.name).context("take " + shown(entry.path) + " away"));
    return UniqueFd();
  }
  if (entry.kind == TreeEntry::Kind::kHardLink) {
    DEWAR_TRY(link_file(parent, place.name, path, entry));
    return UniqueFd();
  }
  DEWAR_TRY(make_way(parent, place.name, entry));
  switch (entry.kind) {
    case TreeEntry::Kind::kFolder:
      DEWAR_TRY(make_folder_entry(parent, place.name, entry));
      return UniqueFd();
    case TreeEntry::Kind::kFile:
      return make_file(parent, place.name, entry);
    case TreeEntry::Kind::kSymlink:
      if (::symlinkat(entry.link.c_str(), parent, place.name.c_str()) != 0)
        return fail_errno("link " + shown(entry.path));
      DEWAR_TRY(own(parent, place.name, entry));
      return UniqueFd();
    case TreeEntry::Kind::kFifo:
      if (::mkfifoat(parent, place.name.c_str(), 0600) != 0) return fail_errno("make " + shown(entry.path));
      DEWAR_TRY(own(parent, place.name, entry));
      return UniqueFd();
    case TreeEntry::Kind::kHardLink:
    case TreeEntry::Kind::kOther:
      break;
  }
  ++count_.skipped;
  return UniqueFd();
}

void TreeWriter::finish() {
  for (const auto& [path, modified] : folder_times_) {
    const UniqueFd folder = open_inside(root_, "/" + path, O_RDONLY | O_DIRECTORY);
    const timespec times[2] = {{0, UTIME_NOW}, modified};
    if (folder) (void)::futimens(folder.get(), times);
  }
}

}  // namespace dewar
