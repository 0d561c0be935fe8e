// What the launcher's parent writes down about its attempt, so that the truth survives everybody else's death. The file
// is append-only: one framed record per stage (4-byte little-endian length, CRC-32C of the payload, payload). A reader
// takes the last whole record; a torn tail is ignored. Byte for byte in docs/formats.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/encoding.h"
#include "base/process.h"
#include "base/result.h"

namespace dewar {

enum class AttemptStage : std::uint8_t {
  kStarting,  ///< the launcher holds the file; nothing of the task runs yet
  kRunning,   ///< execve(2) worked
  kEnded,     ///< the process has ended, its cgroup is empty, its output is written
  kRefused,   ///< a step before execve(2) failed; `step`, `error` and `detail` say which
};

struct AttemptStatus {
  AttemptStage stage = AttemptStage::kStarting;
  ProcessId launcher;     ///< the launcher's parent half
  pid_t pid = 0;          ///< the attempt's process, as the host numbers it
  double start_time = 0;  ///< Unix seconds
  double stop_time = 0;
  std::int32_t return_code = 0;  ///< exit status, or minus the signal number
  bool core_dumped = false;
  std::uint32_t leftovers = 0;  ///< processes still in the cgroup when the main one ended; they were killed
  std::string step;             ///< kRefused: the step's name, "pivot_root"; kEnded: "sweep" if its cgroup is not empty
  std::int32_t error = 0;       ///< kRefused: errno
  std::string detail;           ///< kRefused: what it was about, "/usr/bin/frobnicate"
  std::string log_error;        ///< why output was lost, or logs of ended runs removed
};

template <class Coder>
void code(Coder& c, AttemptStatus& v) {
  c(v.stage, v.launcher, v.pid, v.start_time, v.stop_time, v.return_code, v.core_dumped, v.leftovers, v.step, v.error,
    v.detail, v.log_error);
}

/// How far a child came, framed as above. An empty `step`: a container's PID 1 is up.
struct LaunchReport {
  std::string step;
  std::int32_t error = 0;
  std::string detail;
};

template <class Coder>
void code(Coder& c, LaunchReport& v) {
  c(v.step, v.error, v.detail);
}

std::string encode_status(const AttemptStatus& status);
/// The last whole record of a status file's content; nothing if there is none.
std::optional<AttemptStatus> last_status(std::string_view content);

std::string encode_report(const LaunchReport& report);
std::optional<LaunchReport> decode_report(std::string_view bytes);

/// "step pivot_root: /var/x: Permission denied (run as root, or ...)": for a person, with what to do where we know it.
std::string explain_step(const std::string& step, int error, const std::string& detail);

}  // namespace dewar
