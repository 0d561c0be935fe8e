#include "thermos/explain/death.h"

#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "base/units.h"
#include "base/utf8.h"
#include "thermos/explain/words.h"

namespace dewar {
namespace {

constexpr std::size_t kLongestCommand = 60;

constexpr std::pair<Cause, std::string_view> kNames[] = {
    {Cause::kNone, "none"},
    {Cause::kExit, "exit"},
    {Cause::kCommandNotFound, "command-not-found"},
    {Cause::kNotExecutable, "not-executable"},
    {Cause::kSignal, "signal"},
    {Cause::kCrash, "crash"},
    {Cause::kSystemCall, "system-call"},
    {Cause::kBrokenPipe, "broken-pipe"},
    {Cause::kFileSize, "file-size"},
    {Cause::kCpuTime, "cpu-time"},
    {Cause::kMemory, "memory"},
    {Cause::kDisk, "disk"},
    {Cause::kPids, "pids"},
    {Cause::kTime, "time-limit"},
    {Cause::kHealth, "health-check"},
    {Cause::kFetch, "fetch"},
    {Cause::kLaunch, "launch"},
    {Cause::kStopped, "stopped"},
    {Cause::kLauncherLost, "launcher-lost"},
    {Cause::kRunnerLost, "runner-lost"},
    {Cause::kSandboxLost, "sandbox-lost"},
    {Cause::kHostLost, "host-lost"},
    {Cause::kGroupGone, "cgroup-removed"},
    {Cause::kRequest, "request"},
    {Cause::kDependency, "dependency"},
    {Cause::kProcesses, "processes"},
    {Cause::kNotStarted, "not-started"},
    {Cause::kGoingOn, "running"},
    {Cause::kWaiting, "waiting"},
};

/// What a shell or env(1) says of a command that it cannot run, behind the command.
constexpr std::string_view kComplaints[] = {
    ": command not found",
    ": not found",
    ": No such file or directory",
    ": Permission denied",
    ": Is a directory",
    ": cannot execute: required file not found",
    ": cannot execute binary file: Exec format error",
    ": cannot execute binary file",
    ": Exec format error",
};
constexpr std::string_view kInterpreter = ": bad interpreter";

/// The last of "bash: line 1: ./x", without the quotation marks that env(1) puts around it.
std::string last_part(std::string_view text) {
  const std::size_t colon = text.rfind(": ");
  if (colon != std::string_view::npos) text.remove_prefix(colon + 2);
  for (const std::string_view mark : {"'", "\"", "‘", "’", "`"}) {
    if (text.starts_with(mark)) text.remove_prefix(mark.size());
    if (text.ends_with(mark)) text.remove_suffix(mark.size());
  }
  return one_line(text, kLongestCommand);
}

std::string command_in_line(std::string_view line) {
  if (const std::size_t at = line.find(kInterpreter); at != std::string_view::npos) {
    line = line.substr(0, at);  // "bash: ./x: /no/such"
    return last_part(line.substr(0, line.rfind(": ")));
  }
  for (const std::string_view complaint : kComplaints)
    if (line.ends_with(complaint)) return last_part(line.substr(0, line.size() - complaint.size()));
  return {};
}

/// The signal behind a return code: of the process itself, or of a command whose end its shell tells. 0: none.
int signal_of(int code) {
  if (code < 0) return -code;
  return code > 128 && code < 128 + NSIG ? code - 128 : 0;
}

const Rlimit* rlimit_of(const ExitFacts& facts, int resource) {
  const auto found = std::ranges::find(facts.rlimits, resource, &Rlimit::resource);
  return found == facts.rlimits.end() || found->soft == RLIM_INFINITY ? nullptr : &*found;
}

void explain_missing_command(const ExitFacts& facts, Death& death) {
  const bool found = facts.return_code == 126;
  death.cause = found ? Cause::kNotExecutable : Cause::kCommandNotFound;
  const std::string command = command_in(facts.stderr_tail);
  if (command.empty()) return;
  death.words += ": " + command;
  death.details["command"] = command;
  if (!found && command.find('/') == std::string::npos) death.details["path"] = facts.path;
}

void explain_crash(const ExitFacts& facts, Death& death) {
  death.cause = Cause::kCrash;
  if (!facts.fault) return;
  death.details["fault"] = one_line(facts.fault->fault, kLongestCommand);
  if (!facts.fault->address.empty()) {
    death.details["fault_address"] = one_line(facts.fault->address, kLongestCommand);
    death.words += ", a bad access to address " + death.details["fault_address"];
  } else {
    death.words += ", a " + death.details["fault"];
  }
  if (facts.fault->object.empty()) return;
  death.details["fault_object"] = one_line(facts.fault->object, kLongestCommand);
  death.words += " in " + death.details["fault_object"];
}

void explain_signal(const ExitFacts& facts, int signal, Death& death) {
  death.cause = Cause::kSignal;
  death.details["signal"] = signal_name(signal);
  if (facts.return_code > 0) death.details["shell"] = "yes";
  switch (signal) {
    case SIGSEGV:
    case SIGBUS:
    case SIGILL:
    case SIGFPE:
      return explain_crash(facts, death);
    case SIGABRT:
      death.cause = Cause::kCrash;
      death.words += ": it gave up by itself (abort)";
      return;
    case SIGPIPE:
      death.cause = Cause::kBrokenPipe;
      death.words += ": nobody read what it wrote";
      return;
    case SIGSYS:
      death.cause = Cause::kSystemCall;
      if (facts.forbidden_call) death.details["system_call_number"] = std::to_string(*facts.forbidden_call);
      if (!facts.forbidden_name.empty()) death.details["system_call"] = facts.forbidden_name;
      death.words += !facts.forbidden_name.empty() ? ": its filter forbids the system call " + facts.forbidden_name
                     : facts.forbidden_call
                         ? ": its filter forbids system call " + std::to_string(*facts.forbidden_call)
                         : ": its filter forbids a system call that it made";
      return;
    case SIGXCPU:
      death.cause = Cause::kCpuTime;
      if (const Rlimit* limit = rlimit_of(facts, RLIMIT_CPU)) {
        death.details["limit_seconds"] = std::to_string(limit->soft);
        death.words += ": it used up its " + std::to_string(limit->soft) + " seconds of CPU time (rlimit cpu)";
      }
      return;
    case SIGXFSZ:
      death.cause = Cause::kFileSize;
      if (const Rlimit* limit = rlimit_of(facts, RLIMIT_FSIZE)) {
        death.details["limit_bytes"] = std::to_string(limit->soft);
        death.words += ": it wrote a file larger than " + format_bytes(limit->soft) + " (rlimit fsize)";
      }
      return;
    default:
      return;
  }
}

}  // namespace

std::string_view to_string(Cause cause) {
  const auto found = std::ranges::find(kNames, cause, [](const auto& entry) { return entry.first; });
  return found == std::end(kNames) ? "none" : found->second;
}

Cause cause_of(std::string_view name) {
  const auto found = std::ranges::find(kNames, name, [](const auto& entry) { return entry.second; });
  return found == std::end(kNames) ? Cause::kNone : found->first;
}

Death explain_exit(const ExitFacts& facts) {
  Death death;
  if (facts.return_code == 0) return death;
  if (facts.oom_killed && facts.return_code == -SIGKILL) {
    // A child may have been the victim, and the process itself have ended by its own will: that is told by its code.
    death.cause = Cause::kMemory;
    death.words = "killed for want of memory";
    if (facts.memory_limit == 0) return death;
    death.words += " (the task's limit is " + format_bytes(facts.memory_limit) + ")";
    death.details["limit_bytes"] = std::to_string(facts.memory_limit);
    return death;
  }
  if (!facts.fetch_failure.empty() && facts.return_code > 0)
    return {Cause::kFetch, one_line(facts.fetch_failure, 1024), {}};
  death.cause = Cause::kExit;
  death.words = code_words(facts.return_code);
  if (facts.return_code == 126 || facts.return_code == 127) {
    explain_missing_command(facts, death);
  } else if (const int signal = signal_of(facts.return_code); signal != 0) {
    explain_signal(facts, signal, death);
  }
  if (facts.core_dumped) {
    death.details["core"] = "dumped";
    death.words += "; core dumped";
  }
  return death;
}

std::string time_limit_words(Duration limit) { return "ran longer than its time limit of " + format_duration(limit); }

std::string command_in(std::string_view stderr_tail) {
  while (!stderr_tail.empty()) {
    if (stderr_tail.ends_with('\n')) stderr_tail.remove_suffix(1);
    const std::size_t end = stderr_tail.rfind('\n');
    const std::size_t start = end == std::string_view::npos ? 0 : end + 1;
    if (std::string command = command_in_line(stderr_tail.substr(start)); !command.empty()) return command;
    stderr_tail = stderr_tail.substr(0, start);
  }
  return {};
}

std::string one_line(std::string_view text, std::size_t most) {
  constexpr std::string_view kCut = "...";
  std::string line;
  std::size_t kept = 0;  // of it, where something is cut off behind
  while (!text.empty()) {
    const std::size_t size = utf8_size(text);  // 0: no character
    const bool plain = size > 1 || (size == 1 && static_cast<unsigned char>(text[0]) >= 0x20 && text[0] != 0x7f);
    const std::size_t taken = std::max<std::size_t>(size, 1);
    if (line.size() + taken > most) return line.substr(0, kept).append(kCut.substr(0, most));
    line += plain ? text.substr(0, taken) : "?";
    if (line.size() + kCut.size() <= most) kept = line.size();
    text.remove_prefix(taken);
  }
  return line;
}

}  // namespace dewar
