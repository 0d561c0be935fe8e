// dewar bundle: all that is known of a task in one file, for a post-mortem elsewhere.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <vector>

#include "agent/cli/commands.h"
#include "agent/cli/paint.h"
#include "agent/cli/task_ref.h"
#include "base/files.h"
#include "base/pipe.h"
#include "base/process.h"
#include "base/units.h"
#include "thermos/programs.h"

namespace dewar {
namespace {

struct BundleWish {
  TaskWish task;
  std::string output, log_size = "1MB";
  bool doctor = true;
};

ExitCode refuse(const Error& error, ExitCode code) {
  (void)write_all(STDERR_FILENO, "dewar bundle: " + printable(error.message()) + "\n", "standard error");
  return code;
}

/// By dewar-bundle. Its words go to our standard error.
Result<ExitCode> pack(const std::vector<std::string>& arguments) {
  Spawn start;
  start.program = DEWAR_TRY(find_own_program("dewar-bundle"));
  start.argv = {"dewar-bundle", "pack"};
  start.argv.insert(start.argv.end(), arguments.begin(), arguments.end());
  Pipe pipe = DEWAR_TRY(make_pipe());
  start.fds = {-1, -1, pipe.writer.get()};
  for (char** entry = environ; *entry != nullptr; ++entry) start.env.emplace_back(*entry);
  const pid_t child = DEWAR_TRY(spawn(start));
  pipe.writer.reset();
  const auto words = read_all(pipe.reader.get(), "pipe", 1u << 20);
  int status = 0;
  retry_eintr([&] { return ::waitpid(child, &status, 0); });
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return ExitCode::kDone;
  (void)write_all(STDERR_FILENO, "dewar bundle: " + printable(words ? *words : "") + "\n", "standard error");
  return WIFEXITED(status) ? static_cast<ExitCode>(WEXITSTATUS(status)) : ExitCode::kFailed;
}

ExitCode bundle(const BundleWish& wish) {
  const auto log_bytes = parse_bytes(wish.log_size);
  if (!log_bytes) return refuse(log_bytes.error(), ExitCode::kUsage);
  const auto task = find_task(wish.task);
  if (!task) return refuse(task.error(), not_found_code(task.error()));
  const std::string path = wish.output.empty() ? task->task_id + ".tar.zst" : wish.output;
  const auto packed = pack({task->run_folder, path, std::to_string(*log_bytes), wish.doctor ? "1" : "0"});
  if (!packed) return refuse(packed.error(), ExitCode::kFailed);
  if (*packed != ExitCode::kDone) return *packed;
  return write_all(STDOUT_FILENO, path + "\n", "standard output") ? ExitCode::kDone : ExitCode::kFailed;
}

}  // namespace

void add_bundle(CLI::App& app, ExitCode& exit_code) {
  auto wish = std::make_shared<BundleWish>();
  CLI::App* command = app.add_subcommand("bundle", "Puts all that is known of a task into one file, secrets masked");
  add_task_options(*command, wish->task);
  command->add_option("-o,--output", wish->output, "the file to make; default: <task id>.tar.zst here")
      ->type_name("FILE");
  command->add_option("--log-size", wish->log_size, "the most of each stream of each run; default: 1MB")
      ->type_name("SIZE");
  command->add_flag("!--no-doctor", wish->doctor, "leave out what dewar doctor says of this host");
  command->footer(
      "dewar explain, logs and status take the file in the place of a task's id.\n"
      "Exit status: 0 done; 1 it could not be written; 2 wrong usage; 3 no such task; 4 no rights; 7 FILE is there.");
  command->callback([wish, &exit_code] { exit_code = bundle(*wish); });
}

}  // namespace dewar
