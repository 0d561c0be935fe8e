#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

namespace dewar {

struct Pipe {
  UniqueFd reader, writer;
};

/// Both ends close on exec. Errors: of pipe2(2).
Result<Pipe> make_pipe();

}  // namespace dewar
