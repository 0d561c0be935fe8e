#pragma once

#include "thermos/spec/task_fields.h"

namespace dewar {

/// What can only be said of a task as a whole: its processes and their order, its ports, its limits. Fills in the name
/// of a task without one, `ports`, and the sandbox's limits from `resources`.
void check_task(Reading& reading, TaskDraft& task);

}  // namespace dewar
