#pragma once

#include "base/result.h"
#include "isolation/log_index.h"

namespace dewar {

/// Writes what is to be read from `from` to `to`, an empty file, in Zstandard's seekable format behind a head that says
/// where in the stream it belongs (docs/formats.md). Takes a few MiB of memory, however long the lines are. Errors: of
/// read(2) and write(2); EOVERFLOW if it is not `head.size` bytes.
Result<void> write_archive(int from, int to, const ArchiveHead& head);

}  // namespace dewar
