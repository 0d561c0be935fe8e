#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace dewar {

struct Pipe {
  UniqueFd reader, writer;
};

/// Both ends close on exec. Errors: of pipe2(2).
Result<Pipe> make_pipe();

/// What reads the whole of `bytes` and then the end: nobody has to live on to write it, and no writer waits for, or
/// gets a SIGPIPE from, a reader that died. `what` names it in errors. Errors: also those of F_SETPIPE_SZ, see
/// fcntl(2).
Result<UniqueFd> pipe_holding(std::string_view bytes, const std::string& what);

}  // namespace dewar
