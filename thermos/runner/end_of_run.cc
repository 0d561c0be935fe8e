#include "thermos/runner/end_of_run.h"

#include <csignal>

#include "base/files.h"
#include "base/units.h"
#include "isolation/kernel_log.h"
#include "isolation/seccomp/call_name.h"
#include "thermos/explain/death.h"
#include "thermos/explain/words.h"
#include "thermos/runner/fetch_watch.h"
#include "thermos/runner/time_watch.h"

namespace dewar {
namespace {

constexpr std::size_t kTail = 4096;
constexpr int kAuditMs = 50;  // the kernel's audit thread writes its line a moment later

/// What the kernel's log says of a process that it has ended.
void ask_kernel(pid_t pid, ExitFacts& facts) {
  const int signal = -facts.return_code;
  if (signal == SIGSYS) {
    const auto line = find_in_kernel_log(
        [&](std::string_view text) {
          const auto call = read_forbidden_call(text);
          return call && call->pid == pid;
        },
        kAuditMs);
    if (!line) return;
    facts.forbidden_call = read_forbidden_call(*line)->number;
    facts.forbidden_name = call_name(*facts.forbidden_call);
  } else if (signal == SIGSEGV || signal == SIGBUS || signal == SIGILL || signal == SIGFPE) {
    const auto line = find_in_kernel_log(
        [&](std::string_view text) {
          const auto fault = read_fault(text);
          return fault && fault->pid == pid;
        },
        0);
    if (line) facts.fault = read_fault(*line);
  }
}

Death explain(const RunnerSpec& spec, const Attempt& attempt, const AttemptStatus& status, const Usage& used) {
  ExitFacts facts;
  facts.return_code = status.return_code;
  facts.core_dumped = status.core_dumped;
  facts.path = spec.path;
  facts.rlimits = spec.sandbox.rlimits;
  facts.oom_killed = used.oom_kills > 0;
  facts.memory_limit = spec.sandbox.limits.memory;
  if (facts.return_code > 0) facts.fetch_failure = fetch_failure(spec, attempt.process(), attempt.run());
  if (facts.return_code == 126 || facts.return_code == 127) {
    const auto tail = read_tail(log_folder(spec, attempt.process(), attempt.run()) + "/stderr", kTail);
    if (tail) facts.stderr_tail = *tail;
  }
  if (facts.return_code < 0) ask_kernel(status.pid, facts);
  return explain_exit(facts);
}

}  // namespace

EndOfRun describe_end(const RunnerSpec& spec, const Attempt& attempt, const std::optional<AttemptStatus>& status,
                      const Usage& used, const Clock& clock) {
  EndOfRun described;
  RunEnd& end = described.end;
  end.usage = used;
  if (!status || status->stage != AttemptStage::kEnded) {
    end.kind = RunEnd::Kind::kLost;
    end.stop_time = clock.wall();
    end.reason = "its launcher (pid " + std::to_string(attempt.launcher().pid) +
                 ") died, so how it ended is not known; what was left of it was killed";
    return described;
  }
  end.return_code = status->return_code;
  end.stop_time = status->stop_time;
  Death death = explain(spec, attempt, *status, used);
  if (const Duration limit = time_limit_met(spec, attempt.process(), attempt.run()); limit > Duration{}) {
    end.failed = true;
    death = {Cause::kTime, time_limit_words(limit) + "; " + code_words(end.return_code), death.details};
    death.details["limit"] = format_duration(limit);
  }
  // The plain words of a code are the machine's, which knows what was sent.
  if (death.words != code_words(end.return_code)) end.reason = death.words;
  if (death.cause == Cause::kNone || death.cause == Cause::kExit || death.cause == Cause::kSignal) return described;
  death.details["cause"] = to_string(death.cause);
  described.evidence =
      EventRecord{end.stop_time, "end", attempt.process(), attempt.run(), "", std::move(death.details)};
  return described;
}

}  // namespace dewar
