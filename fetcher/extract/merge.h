#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

namespace dewar {

/// Moves everything in the folder `from` into the folder `to` (of the same file system): folders are merged with
/// folders, anything else replaces what is no folder. Follows no symlink on either side. Looks for folders that meet
/// something else before the first move. Errors: words about such a meeting; those of renameat(2), after which a part
/// was moved.
Result<void> merge_trees(const UniqueFd& from, const UniqueFd& to);

}  // namespace dewar
