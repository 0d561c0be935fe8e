#pragma once

#include <sys/types.h>
#include <time.h>

#include <map>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace dewar {

/// The hidden folder inside the target in which an archive is unpacked. Every path is relative to it, as entry_path()
/// makes them, and is walked by the kernel from the folder's descriptor without following any symlink and without
/// leaving it (openat2(2): RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS): whatever the tree holds by then, and whoever changes
/// it meanwhile, nothing is made anywhere else. Missing folders are made (0755). A later entry replaces an earlier file
/// or symlink of the same name; folders are never replaced by anything else unless they are empty.
class Staging {
 public:
  /// Makes the folder, and removes those of extractions that were killed. Locked with flock(2) while it lives.
  static Result<Staging> make(UniqueFd target);

  Staging(Staging&&) = default;
  Staging& operator=(Staging&&) = delete;
  /// Removes what was not merged.
  ~Staging();

  Result<void> add_folder(const std::string& path, mode_t mode, timespec modified);
  /// A new, empty file, open for writing.
  Result<UniqueFd> add_file(const std::string& path, mode_t mode);
  Result<void> add_symlink(const std::string& path, const std::string& link_target);
  /// Errors: words if `existing` is not a file of this extraction.
  Result<void> add_hard_link(const std::string& path, const std::string& existing);

  /// A file without a name, in the same file system: for what must be looked at as a whole. Gone when closed.
  Result<UniqueFd> nameless_file() const;

  /// Sets the folders' times, and moves everything into the target. Nothing can be added afterwards.
  Result<void> merge();

 private:
  Staging(UniqueFd target, UniqueFd folder, std::string name);
  Result<UniqueFd> parent_of(const std::string& path);
  Result<void> make_room(const std::string& path, const UniqueFd& parent);

  UniqueFd target_, folder_;
  std::string name_;
  std::map<std::string, timespec> times_;  // of folders: what is put into them changes them, so they are set last
  std::size_t times_bytes_ = 0;
};

}  // namespace dewar
