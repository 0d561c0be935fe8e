#pragma once

#include "isolation/launch_info.h"

namespace dewar {

/// Asks, writes what it found to descriptor 1 as one line, and returns the exit status that tells it: 0 passed, 1
/// failed. For a process that has given up every right: it reads what the task's processes answer.
int ask_http(const HttpProbe& probe);

}  // namespace dewar
