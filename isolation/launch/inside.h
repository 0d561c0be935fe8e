// Paths inside a root that may be somebody else's work, and may change while we look: nothing leads out of it. Errors
// are an empty descriptor and errno.
#pragma once

#include <string>

#include "base/unique_fd.h"

namespace dewar {

/// Opens a path beneath `root` as if that were "/": no "..", symlink or magic link leads out of it.
UniqueFd open_inside(int root, const std::string& path, int flags);

/// Makes and opens a folder inside, with what is missing on the way. Symlinks are followed, inside.
UniqueFd make_folder(int root, const std::string& path);

/// The folder in which a path lies, and its last component.
struct Place {
  UniqueFd parent;
  std::string name;
};
/// One that leads nowhere else: not "..", "." or nothing.
bool is_plain_name(const std::string& name);

/// The parent is made. Errors: EINVAL if the last component is no plain name.
Place place_of(int root, const std::string& path);

/// Makes (unless it is there) and opens what can be mounted upon: a folder, or a file. A symlink that stands there, or
/// a file in a folder's place, is replaced.
UniqueFd make_mount_point(const Place& place, bool folder);

bool is_folder(int fd);

}  // namespace dewar
