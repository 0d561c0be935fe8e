// Files and folders in the sandbox, made with the user's own rights: a name that the user has bent leads nowhere the
// user could not go.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "fetcher/parts.h"

namespace dewar {

/// Opens `path` below `root`, making folders that are missing. Links are followed as long as they stay below `root`.
Result<UniqueFd> open_folder_in(const PartUser& user, const UniqueFd& root, const std::string& path);

/// A file of the user's in `folder` that has no name yet.
Result<UniqueFd> stage_in(const PartUser& user, const UniqueFd& folder);

/// Gives a staged file its name in `folder`, replacing a file of that name. Whole or not at all.
Result<void> place_staged(const PartUser& user, const UniqueFd& staged, const UniqueFd& folder, const std::string& name,
                          bool executable);

enum class PlacedBy : std::uint8_t { kClone, kLink, kCopy };

/// The same with the bytes of a cache's entry, by the cheapest way there is: blocks shared copy-on-write, a hard link
/// (of a large file that is not executable; it is root's and can only be read), or a copy.
Result<PlacedBy> place_entry(const PartUser& user, const UniqueFd& entry, const UniqueFd& folder,
                             const std::string& name, bool executable);

}  // namespace dewar
