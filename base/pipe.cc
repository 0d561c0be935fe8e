#include "base/pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/files.h"

namespace dewar {

Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("make a pipe");
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Result<UniqueFd> pipe_holding(std::string_view bytes, const std::string& what) {
  Pipe pipe = DEWAR_TRY(make_pipe());
  const int capacity = ::fcntl(pipe.writer.get(), F_GETPIPE_SZ);
  if (static_cast<std::size_t>(capacity) < bytes.size() &&
      ::fcntl(pipe.writer.get(), F_SETPIPE_SZ, static_cast<int>(bytes.size())) < 0)
    return fail_errno("make a pipe of " + std::to_string(bytes.size()) + " bytes for " + what);
  DEWAR_TRY(write_all(pipe.writer.get(), bytes, what));
  return std::move(pipe.reader);
}

}  // namespace dewar
