#include "isolation/log_pipe.h"

#include <fcntl.h>

namespace dewar {
namespace {

constexpr int kPipeSize = 1 << 20;

}  // namespace

Result<Pipe> make_log_pipe() {
  Pipe pipe = DEWAR_TRY(make_pipe());
  ::fcntl(pipe.reader.get(), F_SETPIPE_SZ, kPipeSize);  // refused beyond the user's quota: then it stays at 64 KiB
  return pipe;
}

}  // namespace dewar
