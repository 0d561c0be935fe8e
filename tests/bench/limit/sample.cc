// What sampling costs at least: reads files of cgroups through descriptors that stay open, and takes their digits.
//
//   limit_sample ROUNDS [PROCESS GROUP] <FILES
//
// FILES: "GROUP PATH" on each line. With a process group its processes run before each round. Prints {"us": […]}: CPU
// microseconds per group of each round.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <set>
#include <string>
#include <vector>

#include "tests/bench/limit/clock.h"
#include "tests/bench/limit/let_run.h"

namespace {

std::uint64_t sum_of_numbers(const char* text, ssize_t size) {
  std::uint64_t sum = 0, number = 0;
  for (ssize_t i = 0; i < size; ++i) {
    const unsigned digit = static_cast<unsigned char>(text[i]) - unsigned{'0'};
    if (digit < 10) {
      number = number * 10 + digit;
    } else {
      sum += number, number = 0;
    }
  }
  return sum;
}

double cpu_us() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  return double(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 +
         double(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const int rounds = std::atoi(argv[1]);
  const pid_t running = argc > 2 ? std::atoi(argv[2]) : 0;
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  std::set<std::string> groups;
  std::vector<int> fds;
  for (std::string group, path; std::cin >> group >> path;) {
    groups.insert(group);
    fds.push_back(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (fds.back() < 0) {
      std::perror(path.c_str());
      return 1;
    }
  }
  std::vector<double> us;
  volatile std::uint64_t sink = 0;
  for (int round = 0; round <= rounds; ++round) {
    bench::let_run(running);
    const double before = cpu_us();
    for (const int fd : fds) {
      char text[16384];
      sink = sink + sum_of_numbers(text, ::pread(fd, text, sizeof text, 0));
    }
    if (round > 0) us.push_back((cpu_us() - before) / double(groups.size()));
  }
  std::printf("{");
  bench::print_samples("us", us, true);
  std::printf("}\n");
  return 0;
}
