// Ended runs whose logs may go when a quota needs room: of each process of a living task all but the newest.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace dewar {

struct OldRun {
  std::string folder;      ///< `<run>/.logs/<process>/<n>`
  std::int64_t ended = 0;  ///< about when, Unix nanoseconds: its latest file's change
  std::uint64_t bytes = 0;
};

/// In one task's log folder, `<run>/.logs`; in no order. What cannot be read is not told. `newest`: those too that may
/// be alive.
std::vector<OldRun> find_old_runs(const std::string& logs, bool newest = false);

/// Removes the logs of the oldest run and returns how many bytes that were; 0 if there is none.
std::uint64_t remove_oldest_run(const std::string& logs);

}  // namespace dewar
