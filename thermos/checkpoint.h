#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "thermos/history.h"
#include "thermos/records.h"

namespace dewar {

/// The checkpoint of one task below `root`, with Thermos's paths (docs/formats.md):
///   tasks/{active,finished}/<task_id>   checkpoints/<task_id>/{runner,coordinator.<process>}
/// One writer: holds flock(2) LOCK_EX on `runner` for its life. Records are written with one write(2) each and not
/// synced: a killed program loses nothing from the page cache, and after a power cut no process is left to speak of.
class Checkpoint {
 public:
  /// Opens (and makes) the files, takes the lock, and replays. `force`: a runner that holds the lock is killed with
  /// SIGKILL first (the pid of its last task record, if it really holds it). A torn tail is cut off; from a damaged
  /// record on, the file is set aside as `runner.damaged-<n>` beside a `….reason` file, and what the coordinator files
  /// know is added. Errors: EWOULDBLOCK when another runner lives; EEXIST when another task (other JSON) has this id.
  static Result<Checkpoint> open(const std::string& root, const std::string& task_id, const std::string& task_json,
                                 bool force);

  /// What was there when it was opened.
  const TaskHistory& history() const { return history_; }
  /// What was repaired on opening, in words for the log; usually none.
  const std::vector<std::string>& repairs() const { return repairs_; }

  /// Appends to `runner`, and a process's FORKED, RUNNING and end to its coordinator file first.
  Result<void> append(const Record& record);
  /// Moves the task file from active to finished. Safe to repeat.
  Result<void> finish();

 private:
  std::string root_, task_id_;
  UniqueFd runner_;
  TaskHistory history_;
  std::vector<std::string> repairs_;
};

/// Reads a task's history without taking part. Errors: ENOENT.
Result<TaskHistory> read_history(const std::string& root, const std::string& task_id);

/// Every whole record of a stream, and how many bytes at its end are not one.
struct Replay {
  std::vector<Record> records;
  std::size_t good_bytes = 0;
  std::string damage;  ///< in words, with the offset; empty: the end is whole or merely torn
};
Replay replay(std::string_view stream);

}  // namespace dewar
