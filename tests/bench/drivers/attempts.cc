// Attempts in one running task, through the runner's own code: container made once, then one attempt after the other
// (or several at once), from the decision to start it until it is reaped and its leaf is gone.
//
//   drive_attempts [-n COUNT] [-w WARM_UP] [-c AT_ONCE] [-z PAUSE_MS] [-N] [-f FILTER_OUT] FOLDER PROGRAM
//
// PROGRAM writes the time of its first instruction to stdout (tests/bench/limit/first.S). -N: the task has a network of
// its own. -f: writes the compiled default filter there, for the limit program. FOLDER is made, and left to the caller.
// Prints {"first_us": […], "whole_us": […], "container_us": […], "rate": attempts per second}.
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>

#include "base/files.h"
#include "isolation/cgroup/host.h"
#include "isolation/seccomp/profile.h"
#include "tests/bench/limit/clock.h"
#include "thermos/runner/attempt.h"
#include "thermos/runner/container_spec.h"

namespace dewar {
namespace {

struct Options {
  int count = 200, warm_up = 5, at_once = 1, pause_ms = 0;
  Network network = Network::kHost;
  std::string filter_out, folder, program;
};

Options parse(int argc, char** argv) {
  Options options;
  for (int option = 0; (option = ::getopt(argc, argv, "n:w:c:z:Nf:")) != -1;) {
    switch (option) {
      case 'n':
        options.count = std::atoi(optarg);
        break;
      case 'w':
        options.warm_up = std::atoi(optarg);
        break;
      case 'c':
        options.at_once = std::atoi(optarg);
        break;
      case 'z':
        options.pause_ms = std::atoi(optarg);
        break;
      case 'N':
        options.network = Network::kNone;
        break;
      case 'f':
        options.filter_out = optarg;
        break;
      default:
        std::exit(2);
    }
  }
  if (argc - optind != 2) std::exit(2);
  options.folder = argv[optind];
  options.program = argv[optind + 1];
  return options;
}

Result<RunnerSpec> make_spec(const Options& options) {
  RunnerSpec spec;
  spec.task_id = "bench";
  spec.container_id = "bench-" + std::to_string(::getpid());
  spec.run_folder = options.folder;
  spec.hostname = "bench";
  spec.user = {"nobody", 65534, 65534, {}};
  spec.path = "/usr/bin:/bin";
  spec.cgroups = DEWAR_TRY(prepare_host_cgroups("dewar-bench"));
  spec.seccomp = DEWAR_TRY(compile_seccomp("default"));
  spec.sandbox.network = options.network;
  spec.sandbox.limits = {.cpu = 0.5, .cpu_quota = 1, .memory = 256u << 20, .pids = 100};
  spec.sandbox.binds = {{options.program, "/usr/bin/bash"}};  // what every attempt executes
  ProcessSpec process;
  process.name = "p";
  process.cmdline = "true";
  spec.plan.processes = {process};
  for (const char* name : {"/sandbox", "/attempts", "/.logs", "/rootfs"})
    DEWAR_TRY(make_dirs(options.folder + name, 0755));
  return spec;
}

struct Times {
  std::vector<double> first_us, whole_us, container_us;
};

struct Running {
  Attempt attempt;
  int run;
  std::int64_t start;
};

Result<Running> start_one(const RunnerSpec& spec, const Container& container, int run) {
  const std::int64_t start = bench::now_ns();
  Attempt attempt = DEWAR_TRY(Attempt::start(spec, container, spec.plan.processes[0], run));
  DEWAR_TRY(attempt.go());
  return Running{std::move(attempt), run, start};
}

Result<void> end_one(const RunnerSpec& spec, Running running, bool counted, Times& times) {
  pollfd end{running.attempt.pidfd().get(), POLLIN, 0};
  retry_eintr([&] { return ::poll(&end, 1, -1); });
  const auto status = running.attempt.status();
  running.attempt.clear(status);
  running.attempt.remove_leaf();
  const std::int64_t now = bench::now_ns();
  if (!status || status->stage != AttemptStage::kEnded || status->return_code != 0)
    return fail("attempt " + std::to_string(running.run) + " failed" +
                (status ? ": " + explain_step(status->step, status->error, status->detail) : ""));
  const std::string said = DEWAR_TRY(read_file(log_folder(spec, "p", running.run) + "/stdout"));
  std::int64_t first = 0;
  if (said.size() != sizeof first) return fail("the program said nothing");
  std::memcpy(&first, said.data(), sizeof first);
  if (!counted) return {};
  times.first_us.push_back(static_cast<double>(first - running.start) / 1e3);
  times.whole_us.push_back(static_cast<double>(now - running.start) / 1e3);
  return {};
}

Result<void> drive(const Options& options, const RunnerSpec& spec, const Container& container, Times& times) {
  std::vector<Running> running;
  const int total = options.warm_up + options.count;
  for (int run = 0; run < total || !running.empty();) {
    while (run < total && static_cast<int>(running.size()) < options.at_once)
      running.push_back(DEWAR_TRY(start_one(spec, container, run++)));
    Running first = std::move(running.front());
    running.erase(running.begin());
    const bool counted = first.run >= options.warm_up;
    DEWAR_TRY(end_one(spec, std::move(first), counted, times));
    if (options.pause_ms > 0) ::usleep(static_cast<useconds_t>(options.pause_ms * 1000));
  }
  return {};
}

Result<void> bench(const Options& options) {
  RunnerSpec spec = DEWAR_TRY(make_spec(options));
  const UniqueFd launcher = DEWAR_TRY(open_read_only(DEWAR_BIN "/dewar-launch"));  // as the runner does
  spec.launcher = "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(launcher.get());
  if (!options.filter_out.empty()) DEWAR_TRY(replace_file(options.filter_out, spec.seccomp));
  const std::int64_t start = bench::now_ns();
  std::optional<Container> container = DEWAR_TRY(Container::create(container_spec(spec)));
  Times times;
  times.container_us.push_back(static_cast<double>(bench::now_ns() - start) / 1e3);
  const std::int64_t begin = bench::now_ns();
  const auto driven = drive(options, spec, *container, times);
  const double seconds = static_cast<double>(bench::now_ns() - begin) / 1e9;
  container.reset();
  DEWAR_TRY(Container::sweep(container_spec(spec), 10000));
  DEWAR_TRY(driven);
  std::printf("{");
  bench::print_samples("first_us", times.first_us);
  bench::print_samples("whole_us", times.whole_us);
  bench::print_samples("container_us", times.container_us);
  std::printf("\"rate\": %.2f}\n", (options.warm_up + options.count) / seconds);
  return {};
}

}  // namespace
}  // namespace dewar

int main(int argc, char** argv) {
  if (const auto done = dewar::bench(dewar::parse(argc, argv)); !done) {
    std::fprintf(stderr, "drive_attempts: %s\n", done.error().message().c_str());
    return 1;
  }
  return 0;
}
