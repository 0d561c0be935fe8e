// dewar-runner: runs one task, prepared as `<run_folder>/runner.spec`, to its end; started again after a death, it
// takes the task over where it stands.
#include <sys/resource.h>
#include <unistd.h>

#include <string>

#include "base/files.h"
#include "base/process.h"
#include "isolation/cgroup/supervisors.h"
#include "thermos/runner/runner.h"

namespace {

constexpr const char* kUsage =
    "usage: dewar-runner [--force] [--kill] [--client] RUN_FOLDER\n"
    "  --client descriptor 3 is a connection to the control socket\n"
    "  --force  kill a runner that holds the task, and take over\n"
    "  --kill   take the task over only to kill it\n"
    "exit codes: 0 the task has ended; 101 internal error; 102 invalid task; 103 unknown error; 104 unknown user;\n"
    "105 the task had ended before\n"
    "signals: SIGUSR1, SIGTERM, SIGINT kill the task; SIGUSR2 loses it\n";

int complain(dewar::RunnerExit code, const std::string& words) {
  (void)dewar::write_all(STDERR_FILENO, "dewar-runner: " + words + "\n", "standard error");
  return static_cast<int>(code);
}

}  // namespace

int main(int argc, char** argv) {
  dewar::RunnerOptions options;
  std::string run_folder;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--force") {
      options.force = true;
    } else if (word == "--kill") {
      options.kill = true;
    } else if (word == "--client") {
      options.client = 3;
    } else if (word == "--help") {
      return dewar::write_all(STDOUT_FILENO, kUsage, "standard output") ? 0 : 1;
    } else if (run_folder.empty() && !word.starts_with("-")) {
      run_folder = word;
    } else {
      return complain(dewar::RunnerExit::kInternal, "unexpected argument '" + word + "'\n" + kUsage);
    }
  }
  auto spec = dewar::read_runner_spec(run_folder);
  if (!spec) {
    const bool unfit = spec.error().code == std::errc::bad_message;
    return complain(unfit ? dewar::RunnerExit::kInvalidTask : dewar::RunnerExit::kInternal, spec.error().message());
  }
  if (auto joined = dewar::join_supervisors(spec->cgroups); !joined)
    return complain(dewar::RunnerExit::kInternal, joined.error().message());
  // Once for all launchers, which would otherwise do it themselves (isolation/launch/own_program.h).
  const auto launcher = dewar::open_read_only(spec->launcher);
  if (launcher) spec->launcher = "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(launcher->get());
  // Each living run takes about ten descriptors. What is started gets limits of its own (thermos/prepare.cc).
  if (rlimit files{}; ::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    (void)::setrlimit(RLIMIT_NOFILE, &files);
  }
  options.unprotected = dewar::protect_supervisors(spec->cgroups);
  return static_cast<int>(dewar::Runner(std::move(spec).take(), options).run());
}
