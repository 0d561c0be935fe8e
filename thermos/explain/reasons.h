// Why a run or a task ended, in words for the person who asks.
#pragma once

#include <string>
#include <vector>

#include "thermos/plan.h"
#include "thermos/run_end.h"

namespace dewar {

/// What the runner itself had sent to a run when it ended.
enum class Sent { kNothing, kTerm, kKill };

/// "exit status 127: command not found", "ended by SIGTERM at the end of the task"; empty for a plain success.
std::string reason_of_end(const RunEnd& end, Sent sent);

/// "fetch failed 3 of 3 times: exit status 22"
std::string failure_words(const ProcessSpec& spec, const std::vector<RunHistory>& runs);

/// A process's runs; none if it was never run.
const std::vector<RunHistory>& runs_in(const TaskHistory& history, const std::string& process);

/// Why the regular plan makes the task a SUCCESS or a FAILED: "fetch failed 3 of 3 times: exit status 22; run was not
/// started".
std::string reason_of_outcome(const TaskHistory& history, const TaskPlan& task, const Plan& regular, bool success);

/// What has not gone well with the final processes, as an addition: "; cleanup did not finish". Empty if all did.
std::string reason_of_finals(const TaskHistory& history, const TaskPlan& task, const Plan& finals);

}  // namespace dewar
