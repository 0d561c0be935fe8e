// What ended one run, beyond its exit status: a name for programs, words for people, and the evidence. Pure; the runner
// asks at the moment of death, when all of the facts are at hand, and an explanation asks again where it did not.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "isolation/kernel_log.h"
#include "isolation/sandbox_spec.h"

namespace dewar {

/// Why a run or a task ended, or does not go on. docs/explain.md has the table.
enum class Cause : std::uint8_t {
  kNone,             ///< nothing went wrong
  kExit,             ///< an exit status of its own
  kCommandNotFound,  ///< 127 from a shell
  kNotExecutable,    ///< 126 from a shell
  kSignal,           ///< a signal whose sender is not known
  kCrash,            ///< SIGSEGV and the like: what the process itself did wrong
  kSystemCall,       ///< SIGSYS: forbidden by its filter
  kBrokenPipe,
  kFileSize,  ///< rlimit fsize
  kCpuTime,   ///< rlimit cpu
  kMemory,
  kDisk,
  kPids,
  kTime,     ///< its time limit
  kHealth,   ///< its health check
  kFetch,    ///< an artifact
  kLaunch,   ///< a step before exec
  kStopped,  ///< by us, because its task ended
  kLauncherLost,
  kRunnerLost,  ///< of a task that has not ended: nobody looks after it
  kSandboxLost,
  kHostLost,    ///< the host was started anew
  kGroupGone,   ///< somebody removed the task's cgroup
  kRequest,     ///< killed on request
  kDependency,  ///< what it waited for had failed
  kProcesses,   ///< of a task: its processes have failed
  kNotStarted,  ///< the task ended first
  kGoingOn,     ///< runs, or is about to
  kWaiting,     ///< for another process, or its time
};
std::string_view to_string(Cause cause);  ///< "command-not-found"
/// kNone for a name that is none.
Cause cause_of(std::string_view name);

using Details = std::map<std::string, std::string>;

struct Death {
  Cause cause = Cause::kNone;
  std::string words;  ///< "exit status 127: command not found: frobnicate"; no control characters
  Details details;    ///< docs/formats.md, "Evidence"
};

/// What is known of a run that was not sent a signal by us.
struct ExitFacts {
  int return_code = 0;  ///< exit status, or minus the signal
  bool core_dumped = false;
  std::string stderr_tail;  ///< its last lines, as the task wrote them
  std::string path;         ///< PATH that it was started with
  std::vector<Rlimit> rlimits;
  bool oom_killed = false;
  std::uint64_t memory_limit = 0;  ///< the task's; 0: none
  std::string fetch_failure;       ///< in dewar-fetch's words
  std::optional<FaultReport> fault;
  std::optional<int> forbidden_call;
  std::string forbidden_name;  ///< of that call; empty: it has none here
};
Death explain_exit(const ExitFacts& facts);

/// "ran longer than its time limit of 5m"
std::string time_limit_words(Duration limit);

/// Which words of the last lines of stderr name the command that a shell could not run: "frobnicate". Empty if none do.
std::string command_in(std::string_view stderr_tail);

/// `text` in one line of at most `most` bytes, without control characters: fit for a record. "..." is for what was cut
/// off.
std::string one_line(std::string_view text, std::size_t most);

}  // namespace dewar
