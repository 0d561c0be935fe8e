#include "isolation/log_pipe.h"

#include <fcntl.h>
#include <unistd.h>

namespace dewar {
namespace {

constexpr int kPipeSize = 1 << 20;

}  // namespace

Result<LogPipe> make_log_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("make a pipe");
  LogPipe pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
  ::fcntl(ends[0], F_SETPIPE_SZ, kPipeSize);  // refused beyond the user's quota: then it stays at 64 KiB
  return pipe;
}

}  // namespace dewar
