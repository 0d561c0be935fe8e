// Our pump alone: starts a writer and moves its output into the log of a run.
//
//   drive_pump FOLDER ROTATE_BYTES KEEP PROGRAM ARGUMENT...
//
// Prints {"seconds": …, "cpu_seconds": …, "bytes": …}: from the writer's start to the last byte in the log, and what
// the pump itself has used.
#include <sys/resource.h>
#include <sys/wait.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "base/files.h"
#include "base/process.h"
#include "isolation/launch/log_pump.h"
#include "isolation/log_pipe.h"

namespace dewar {
namespace {

double cpu_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

Result<void> drive(char** argv) {
  LogRecipe recipe;
  recipe.folder = argv[1];
  recipe.policy.mode = LogMode::kRotate;
  recipe.policy.log_size = std::strtoull(argv[2], nullptr, 10);
  recipe.policy.backups = static_cast<std::uint32_t>(std::atoi(argv[3]));
  DEWAR_TRY(make_dirs(recipe.folder));
  std::string subject;
  auto log = DEWAR_TRY(RunLog::open(recipe, LogFile::Begin::kNew, subject));
  Pipe out = DEWAR_TRY(make_log_pipe()), err = DEWAR_TRY(make_log_pipe());
  Spawn writer;
  writer.program = argv[4];
  for (char** word = argv + 4; *word != nullptr; ++word) writer.argv.emplace_back(*word);
  writer.fds = {-1, out.writer.get(), err.writer.get()};
  const auto begin = std::chrono::steady_clock::now();
  const double used = cpu_seconds();
  const pid_t pid = DEWAR_TRY(spawn(writer));
  const UniqueFd pidfd = DEWAR_TRY(open_child(pid));
  out.writer.reset(), err.writer.reset();
  std::vector<LogStream> streams(2);
  streams[0].pipe = std::move(out.reader);
  streams[1].id = OutputStream::kStderr;
  streams[1].pipe = std::move(err.reader);
  RunLog& kept = *log;
  LogPump pump(std::move(streams), std::move(log));
  pump.run_until_ended(pidfd.get());
  ::waitpid(pid, nullptr, 0);
  pump.drain();
  const std::chrono::duration<double> span = std::chrono::steady_clock::now() - begin;
  std::printf("{\"seconds\": %.4f, \"cpu_seconds\": %.4f, \"bytes\": %llu}\n", span.count(), cpu_seconds() - used,
              static_cast<unsigned long long>(kept.file(OutputStream::kStdout).position()));
  return {};
}

}  // namespace
}  // namespace dewar

int main(int argc, char** argv) {
  if (argc < 5) return 2;
  const auto done = dewar::drive(argv);
  if (done) return 0;
  std::fprintf(stderr, "drive_pump: %s\n", done.error().message().c_str());
  return 1;
}
