// The logs of a run in a bundle: the end of each stream in one file, and an index that is about just that. In a bundle
// the index names files by their stream, not by an inode: whoever unpacks it puts the inodes in.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "thermos/secrets.h"

namespace dewar {

struct LogTail {
  std::string out, err, index;  ///< contents of the files of these names; an empty index: there is none
};

/// The last `most` bytes, or a little less so that they begin with a line, of each stream of the run whose logs are in
/// `folder`; masked, and the index about what is there then. Errors: of open(2).
Result<LogTail> read_log_tail(const std::string& folder, std::uint64_t most, const Secrets& secrets);

}  // namespace dewar
