#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

namespace dewar {

struct LogPipe {
  UniqueFd reader, writer;
};

/// A pipe of 1 MiB if the kernel allows, so that a busy writer has to be met rarely. Errors: of pipe2(2).
Result<LogPipe> make_log_pipe();

}  // namespace dewar
