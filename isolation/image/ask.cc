#include "isolation/image/ask.h"

#include <sys/wait.h>
#include <unistd.h>

#include "base/files.h"
#include "base/pipe.h"
#include "base/process.h"

namespace dewar {
Result<Image> ask_for_image(const std::string& program, const RootImage& root, const std::string& store) {
  Pipe answer = DEWAR_TRY(make_pipe()), complaint = DEWAR_TRY(make_pipe());
  Spawn start;
  start.program = program;
  start.argv = {"dewar-image", store, root.path, root.tag};
  start.fds = {-1, answer.writer.get(), complaint.writer.get()};
  const pid_t pid = DEWAR_TRY(spawn(start));
  answer.writer.reset();
  complaint.writer.reset();
  const auto bytes = read_all(answer.reader.get(), "dewar-image's answer");
  const auto words = read_all(complaint.reader.get(), "dewar-image's words");
  retry_eintr([&] { return ::waitpid(pid, nullptr, 0); });
  if (words && !words->empty()) return fail(*words);
  return decode_document<Image>(kImageAnswer, DEWAR_TRY(bytes)).context("dewar-image ended without an answer");
}

}  // namespace dewar
