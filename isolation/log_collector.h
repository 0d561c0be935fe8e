// Room for new logs in a work dir that has a quota for them: the logs of ended runs go, the oldest of all tasks first.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace dewar {

/// Removes what it takes to get to four fifths of `quota` bytes, if nine tenths are used; never the logs of a run that
/// may be alive. Sets `<work_dir>/log.used` to what there really is. Returns the folders that are gone. One at a time:
/// while another is at it, nothing is done. Errors: of open(2), flock(2).
Result<std::vector<std::string>> collect_logs(const std::string& work_dir, std::uint64_t quota);
/// "the logs of 3 ended runs were removed: the quota of 300.0 KB for the logs of the work dir"
std::string collected_words(std::size_t runs, std::uint64_t quota);

}  // namespace dewar
