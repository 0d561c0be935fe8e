#pragma once

#include "base/pipe.h"

namespace dewar {

/// A pipe of 1 MiB if the kernel allows, so that a busy writer has to be met rarely. Errors: of pipe2(2).
Result<Pipe> make_log_pipe();

}  // namespace dewar
