#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
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
  /// SIGKILL first (the pid of its last task record, if it really holds it). A torn tail is cut off; a file with a
  /// damaged record is set aside as `runner.damaged-<n>` (`damaged-<n>.coordinator.<process>`) beside a `….reason` file
  /// and goes on with what comes before that record; then what the coordinator files know beyond is added. A task whose
  /// file is in tasks/finished has ended, even if the record of it is lost. Errors: EWOULDBLOCK when another runner
  /// lives; EEXIST when another task (other JSON) has this id.
  static Result<Checkpoint> open(const std::string& root, const std::string& task_id, const std::string& task_json,
                                 bool force);

  /// What was there when it was opened.
  const TaskHistory& history() const { return history_; }
  /// What was repaired on opening, in words for the log; usually none.
  const std::vector<std::string>& repairs() const { return repairs_; }

  /// Appends to `runner`, and a process's FORKED, RUNNING and end to its coordinator file first. After an error (a full
  /// disk) nothing of the record is in `runner`, and the same record may be tried again.
  Result<void> append(const Record& record);
  /// Moves the task file from active to finished. Safe to repeat.
  Result<void> finish();

 private:
  Checkpoint(std::string root, const std::string& task_id);
  Result<void> lock(bool force);
  Result<void> restore_runner();
  Result<void> restore_coordinators();
  Result<void> add_from_coordinator(const std::string& process, const std::vector<Record>& records);
  Result<void> end_if_finished();
  Result<void> cut_damage(const std::string& file, std::string_view content, std::size_t good, const std::string& why);
  Result<void> add(const Record& record);
  std::string runner_path() const { return folder_ + "/runner"; }
  std::string task_file(const std::string& stage) const { return root_ + "/tasks/" + stage + "/" + task_id_; }

  std::string root_, task_id_, folder_;
  UniqueFd runner_;
  TaskHistory history_;
  std::map<std::string, std::int64_t> told_;  ///< last sequence number in each process's coordinator file
  std::vector<std::string> repairs_;
};

/// Reads a task's history without taking part, up to the first record that is damaged. Errors: ENOENT.
Result<TaskHistory> read_history(const std::string& root, const std::string& task_id);
/// The records that add up to it.
Result<std::vector<Record>> read_checkpoint_records(const std::string& root, const std::string& task_id);

/// Every whole record of a stream up to the first damaged one, and where they end.
struct Replay {
  std::vector<Record> records;
  std::vector<std::size_t> offsets;  ///< where each begins
  std::size_t good_bytes = 0;
  std::string damage;  ///< what is wrong with the record there, in words; empty: the end is whole or merely torn
};
Replay replay(std::string_view stream);

}  // namespace dewar
