#pragma once

#include "thermos/explain/death.h"
#include "thermos/explain/evidence.h"

namespace dewar {

/// What ended run `number` of a process, by all that is known of it; kGoingOn for one that has not ended.
Death death_of_run(const Evidence& evidence, const std::string& process, int number);

/// What ended the task, or will; kGoingOn for one that is ACTIVE.
Death death_of_task(const Evidence& evidence);

/// The host was started anew between two statuses, the later of which is not before `since` (Unix seconds).
bool rebooted_after(const Evidence& evidence, double since);

}  // namespace dewar
