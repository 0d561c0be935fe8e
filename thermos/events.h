#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "thermos/records.h"

namespace dewar {

/// `<run>/events`: what happened to a task beside its states, as framed records (thermos/records.h), oldest first. Only
/// ever appended to, by the runner; not synced.
class EventFile {
 public:
  static constexpr std::size_t kMaxBytes = 1u << 20;  ///< a full file takes no more

  /// Opens, or makes, the file. One that cannot be opened takes nothing, and append() says why.
  explicit EventFile(const std::string& run_folder);
  /// Errors: of open(2) or write(2); EFBIG.
  Result<void> append(const EventRecord& event) const;

 private:
  std::string path_;
  UniqueFd fd_;
};

/// All whole events of a run, up to the first damaged one; none if there is no file.
std::vector<EventRecord> read_events(const std::string& run_folder);

}  // namespace dewar
