#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "thermos/records.h"

namespace dewar {

/// The kind of an event that tells how far a run is. It is shown to whoever watches, and kept nowhere.
inline constexpr std::string_view kProgressEvent = "progress";

/// Of an event that tells what of a run's output was lost: once when it begins, and again with the sum. In a history
/// the last of a run takes the place of those before it.
inline constexpr std::string_view kOutputEvent = "output";

/// One run of one process, as far as the records tell.
struct RunHistory {
  ProcessState state = ProcessState::kWaiting;
  std::int64_t seq = 0;  ///< of its last record; counts over all runs of the process
  std::optional<std::int32_t> coordinator_pid, pid, return_code;
  std::optional<std::uint64_t> coordinator_start;
  std::optional<double> fork_time, start_time, stop_time;
  std::string reason;
  std::string progress;  ///< how far a living run is, if it tells
  Usage usage;           ///< the last sample, or the final numbers
  double cpu = 0;        ///< cores, last sample
  std::string limits;    ///< that it lived under, as limits_text() writes them; of an ended run
  friend bool operator==(const RunHistory&, const RunHistory&) = default;
};

/// What the records of a task add up to: the same whether they come from the file of a dead runner or from the socket
/// of a living one.
struct TaskHistory {
  static constexpr std::size_t kMaxEvents = 1000;  ///< later ones are not kept

  std::optional<HeaderRecord> header;
  std::vector<TaskRecord> statuses;                          ///< in order; the last one is the task's state
  std::map<std::string, std::vector<RunHistory>> processes;  ///< by name; index is the run's number
  std::vector<EventRecord> events;                           ///< in order, at most kMaxEvents
  Usage usage;                                               ///< of the whole task
  double cpu = 0;
  std::string limits;  ///< at its end

  bool empty() const { return statuses.empty() && !header; }
  /// kActive before the first status.
  TaskState state() const { return statuses.empty() ? TaskState::kActive : statuses.back().state; }
  bool terminal() const { return is_terminal(state()); }

  /// Adds one record. Errors (EPROTO; nothing has changed): a second header; a sequence number that is not the next; a
  /// move that the state table forbids; a sample of a run that is not known.
  Result<void> apply(const Record& record);
  friend bool operator==(const TaskHistory&, const TaskHistory&) = default;
};

}  // namespace dewar
