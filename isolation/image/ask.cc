#include "isolation/image/ask.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/files.h"
#include "base/process.h"

namespace dewar {
namespace {

struct Pipe {
  UniqueFd read, write;
};

Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("make a pipe");
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

}  // namespace

Result<Image> ask_for_image(const std::string& program, const RootImage& root, const std::string& store) {
  Pipe answer = DEWAR_TRY(make_pipe()), complaint = DEWAR_TRY(make_pipe());
  Spawn start;
  start.program = program;
  start.argv = {"dewar-image", store, root.path, root.tag};
  start.fds = {-1, answer.write.get(), complaint.write.get()};
  const pid_t pid = DEWAR_TRY(spawn(start));
  answer.write.reset();
  complaint.write.reset();
  const auto bytes = read_all(answer.read.get(), "dewar-image's answer");
  const auto words = read_all(complaint.read.get(), "dewar-image's words");
  retry_eintr([&] { return ::waitpid(pid, nullptr, 0); });
  if (words && !words->empty()) return fail(*words);
  return decode_document<Image>(kImageAnswer, DEWAR_TRY(bytes)).context("dewar-image ended without an answer");
}

}  // namespace dewar
