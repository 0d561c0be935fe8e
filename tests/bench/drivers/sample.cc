// Sampling attempts that sleep, as the runner does it, with history on.
//
//   drive_sample make NAME COUNT [all]
//       makes a group with COUNT leaves, a sleeping process in each; prints "GROUP PATH" of the files that are read of
//       each every second (with `all`: while it runs), "ready", and keeps them until its standard input ends. SIGUSR1
//       to its process group has every sleeper run for a moment
//   drive_sample look NAME FIRST END FOLDER ROUNDS [GROUP]
//       samples those from FIRST to before END, ROUNDS times, a second of a clock of its own apart; with the process
//       group GROUP all run before each round. Prints {"us": […]}: CPU microseconds per attempt of each round
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "base/files.h"
#include "isolation/cgroup/cgroup.h"
#include "isolation/cgroup/host.h"
#include "isolation/cgroup/sampler.h"
#include "tests/bench/limit/clock.h"
#include "tests/bench/limit/let_run.h"
#include "thermos/usage_ring.h"

namespace dewar {
namespace {

class HandClock final : public Clock {
 public:
  Time now() const override { return now_; }
  double wall() const override { return 1.7e9 + std::chrono::duration<double>(now_.time_since_epoch()).count(); }
  void pass(Duration span) { now_ += span; }

 private:
  Time now_{};
};

[[noreturn]] void leave(const Error& error) {
  std::fprintf(stderr, "drive_sample: %s\n", error.message().c_str());
  std::exit(1);
}

template <class T>
T must(Result<T> result) {
  if (!result) leave(result.error());
  return std::move(result).take();
}

void raise_descriptors() {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
}

double cpu_us() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  return double(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 +
         double(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

void start_sleeper(const Cgroup& leaf) {
  const pid_t pid = ::fork();
  if (pid != 0) return;
  bool joined = true;
  for (const std::string& folder : leaf.v1_folders()) {
    const auto tasks = open_file(folder + "/tasks", O_WRONLY);
    joined = joined && tasks && ::write(tasks->get(), "0", 1) == 1;
  }
  if (!leaf.unified().empty()) {
    const auto procs = open_file(leaf.unified() + "/cgroup.procs", O_WRONLY);
    joined = joined && procs && ::write(procs->get(), "0", 1) == 1;
  }
  if (!joined) ::_exit(1);
  ::signal(SIGUSR1, [](int) {});
  while (true) ::pause();
}

void print_files(const std::string& group, const SampledGroup& from, bool all) {
  const auto print = [&](const std::string& folder, const char* file) {
    if (!folder.empty() && exists(folder + "/" + file)) std::printf("%s %s/%s\n", group.c_str(), folder.c_str(), file);
  };
  const bool v2 = from.memory.version == CgroupVersion::kV2;
  print(from.unified, "cpu.stat");
  print(from.cpuacct, "cpuacct.usage");
  print(from.memory.folder, v2 ? "memory.current" : "memory.usage_in_bytes");
  if (!all) return;
  for (const char* file :
       {"memory.stat", "memory.peak", "memory.max_usage_in_bytes", "memory.events", "memory.oom_control"})
    print(from.memory.folder, file);
  for (const char* file : {"cpu.pressure", "memory.pressure", "io.pressure"}) print(from.unified, file);
  for (const char* file : {"pids.current", "pids.peak", "pids.events"}) print(from.pids.folder, file);
  if (from.pids.folder.empty()) print(from.unified, "cgroup.threads");
  print(from.io.folder, "io.stat");
}

int make(const CgroupLayout& layout, const std::string& name, int count, bool all) {
  ::setpgid(0, 0);
  ::signal(SIGUSR1, SIG_IGN);
  Cgroup task = must(Cgroup::create(layout, name));
  for (int i = 0; i < count; ++i) {
    const Cgroup leaf = must(task.create_leaf("leaf" + std::to_string(i)));
    start_sleeper(leaf);
    print_files(std::to_string(i), leaf.sampled(), all);
  }
  std::puts("ready");
  std::fflush(stdout);
  char byte = 0;
  while (::read(STDIN_FILENO, &byte, 1) > 0) {
  }
  (void)task.kill_all(60000);
  while (::wait(nullptr) > 0) {
  }
  if (auto removed = task.remove(); !removed) leave(removed.error());
  return 0;
}

int look(const CgroupLayout& layout, char** argv, pid_t group) {
  const int first = std::atoi(argv[3]), end = std::atoi(argv[4]), rounds = std::atoi(argv[6]), count = end - first;
  const std::string folder = argv[5];
  HandClock clock;
  const Cgroup task = must(Cgroup::find(layout, argv[2]));
  std::vector<std::pair<Sampler, UsageRing>> attempts;
  for (int i = first; i < end; ++i) {
    const Cgroup leaf = must(task.find_leaf("leaf" + std::to_string(i)));
    attempts.emplace_back(Sampler(leaf.sampled()),
                          must(UsageRing::open(folder + "/" + std::to_string(i), clock, "boot")));
  }
  std::vector<double> us;
  int unchanged = 0;
  for (int round = 0; round <= rounds; ++round) {
    using enum Sampler::Depth;
    const auto depth = round == 0 ? kAll : round % 60 == 0 ? kWaiting : round % 10 == 0 ? kMembers : kUsual;
    bench::let_run(group);
    const double before = cpu_us();
    for (auto& [sampler, ring] : attempts) {
      const Usage& usage = sampler.look(depth);
      if (auto kept = ring.add(clock, usage); !kept) leave(kept.error());
      unchanged += sampler.unchanged() ? 1 : 0;
    }
    if (round > 0) us.push_back((cpu_us() - before) / count);
    clock.pass(std::chrono::seconds(1));
  }
  if (group > 0 && unchanged > count * rounds / 100) leave(fail("those that should run sleep").error);
  std::printf("{");
  bench::print_samples("us", us, true);
  std::printf("}\n");
  return 0;
}

}  // namespace
}  // namespace dewar

int main(int argc, char** argv) {
  using namespace dewar;
  raise_descriptors();
  const std::string verb = argc > 1 ? argv[1] : "";
  const CgroupLayout layout = must(prepare_host_cgroups("dewar-bench"));
  if (verb == "make" && argc >= 4) return make(layout, argv[2], std::atoi(argv[3]), argc > 4);
  if (verb == "look" && argc >= 7) return look(layout, argv, argc > 7 ? std::atoi(argv[7]) : 0);
  return 2;
}
