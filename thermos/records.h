// Thermos's checkpoint records, byte for byte: RunnerCkpt in Thrift's TBinaryProtocol behind a 4-byte big-endian
// length. Fields 100 and up are ours; Thermos's readers skip them. docs/formats.md has the table.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.h"
#include "isolation/usage.h"
#include "thermos/states.h"

namespace dewar {

struct HeaderRecord {
  std::string task_id;
  std::int64_t launch_time_ms = 0;
  std::string sandbox, log_dir, hostname, user;
  std::optional<std::int32_t> uid;  ///< absent in streams of before 2013
  std::map<std::string, std::int64_t> ports;
  // Ours:
  std::optional<std::string> address;  ///< 101: of a task in a network of its own, "10.82.0.5"
  friend bool operator==(const HeaderRecord&, const HeaderRecord&) = default;
};

struct ProcessRecord {
  std::int64_t seq = 0;
  std::string process;
  ProcessState state = ProcessState::kWaiting;
  std::optional<std::int32_t> coordinator_pid;
  std::optional<double> fork_time, start_time;
  std::optional<std::int32_t> pid;
  std::optional<double> stop_time;
  std::optional<std::int32_t> return_code;
  // Ours:
  std::optional<std::string> reason;               ///< 101: why it ended, in words
  std::optional<std::uint64_t> coordinator_start;  ///< 102: start_ticks of the launcher's parent
  std::optional<Usage> usage;                      ///< 103: what the run used; with the end of the run
  std::optional<std::string> limits;               ///< 105: the task's, as limits_text() writes them; with the end
  friend bool operator==(const ProcessRecord&, const ProcessRecord&) = default;
};

struct TaskRecord {
  TaskState state = TaskState::kActive;
  std::int64_t timestamp_ms = 0;
  std::int32_t runner_pid = -1, runner_uid = -1;
  // Ours:
  std::optional<std::string> reason;   ///< 101: why, in words
  std::optional<std::string> boot_id;  ///< 102: of the boot in which it was written
  std::optional<Usage> usage;          ///< 103: of the whole task; with a terminal state
  std::optional<TaskState> outcome;    ///< 104: with CLEANING and FINALIZING: the state it will end in
  std::optional<std::string> limits;   ///< 105: as limits_text() writes them; with a terminal state
  friend bool operator==(const TaskRecord&, const TaskRecord&) = default;
};

/// Never in a file: a sample of a living run (or, with an empty name, of the whole task), for subscribers of the
/// runner.
struct SampleRecord {
  std::string process;
  std::int32_t run = 0;
  double time = 0;
  double cpu = 0;  ///< cores used since the last sample
  Usage usage;
  friend bool operator==(const SampleRecord&, const SampleRecord&) = default;
};

/// What happened beside the states of task and processes: a limit met, a port taken, a group changed by a stranger.
/// Kept in `<run>/events`, not in Thermos's stream.
struct EventRecord {
  double time = 0;
  std::string kind;     ///< one word: "disk", "memory", "port", "limits", "sandbox", …
  std::string process;  ///< empty: the whole task
  std::int32_t run = 0;
  std::string words;  ///< one sentence for a person; empty: it is evidence only, and shown to nobody as it happens
  std::map<std::string, std::string> details = {};  ///< evidence for thermos/explain; docs/formats.md has the names
  friend bool operator==(const EventRecord&, const EventRecord&) = default;
};

using Record = std::variant<HeaderRecord, ProcessRecord, TaskRecord, SampleRecord, EventRecord>;

/// The union's bytes, without the length, with a CRC-32C of all bytes before it in field 100 of the inner struct.
std::string encode_record(const Record& record);
/// Exactly the bytes Thermos itself writes: no field of ours. For tests, and for the golden strings of the format.
std::string encode_plain_record(const Record& record);
/// Unknown fields are skipped. Errors: EBADMSG with the words what does not fit; a wrong CRC is one. A record of
/// Thermos's own kinds is accepted without CRC.
Result<Record> decode_record(std::string_view bytes);

/// Whether a record's bytes end in our checksum: Thermos's own have none.
bool has_checksum(std::string_view bytes);

/// Adds the 4-byte length in front.
std::string framed(std::string_view payload);

}  // namespace dewar
