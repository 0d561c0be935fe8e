#pragma once

#include <optional>

#include "base/clock.h"
#include "isolation/attempt_status.h"
#include "thermos/records.h"
#include "thermos/run_end.h"
#include "thermos/runner/attempt.h"

namespace dewar {

/// How a run ended, and the evidence that is there only now: what the kernel's log says, the last words of a shell.
struct EndOfRun {
  RunEnd end;
  std::optional<EventRecord> evidence;
};

/// Call it once the launcher has ended; `status` is the last that it has written, `used` all that the run has used.
EndOfRun describe_end(const RunnerSpec& spec, const Attempt& attempt, const std::optional<AttemptStatus>& status,
                      const Usage& used, const Clock& clock);

}  // namespace dewar
