// What an archive may call its entries, and where its links may point: pure rules, no file system.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace dewar {

/// The path of an entry below the target: no empty and no "." component, "" for the target itself ("./"). Bytes are
/// kept as they are. Errors, as words: absolute, a ".." component, deeper than `depth` folders, longer than PATH_MAX.
Result<std::string> entry_path(std::string_view name, std::uint32_t depth);

/// True if a symlink at `path` (from entry_path) can lead nowhere outside the target: relative, ".." at its beginning
/// only and no more of them than the link lies deep. A tree all of whose links keep to this cannot be left by any chain
/// of them: going up happens at real folders only, so it can be counted.
bool stays_inside(const std::string& path, std::string_view link_target);

/// For a lone compressed file: the last component of `name` without its suffix (".gz", ".bz2", ".xz", ".zst"). "data"
/// if that leaves no usable name.
std::string single_name(std::string_view name);

/// `name` for an error message: quoted, control characters and what is not UTF-8 as \xNN, cut when long.
std::string shown(std::string_view name);

}  // namespace dewar
