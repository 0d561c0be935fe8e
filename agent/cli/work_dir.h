// Where `dewar run` keeps what a task leaves behind when nobody says where: a folder of its own below /var/tmp. Nothing
// is removed at the end of a run. A later run that needs such a folder collects those whose task ended in SUCCESS more
// than a day ago; what failed, what is marked to be kept and what a person named stays.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace dewar {

constexpr const char* kDefaultParent = "/var/tmp";
constexpr double kCollectAfterSeconds = 24 * 3600;

/// Makes `<parent>/dewar-XXXXXX`, mode 0700. It may be collected later unless `keep`.
Result<std::string> make_work_dir(const std::string& parent, bool keep);

/// From now on nobody collects this folder. No error if nobody would have.
Result<void> keep_work_dir(const std::string& work_dir);

/// Removes the folders that may go, as of `now` (Unix seconds). Returns what was removed. A folder that cannot be read
/// or removed stays, without a word: it is tried again next time.
std::vector<std::string> collect_work_dirs(const std::string& parent, double now);

}  // namespace dewar
