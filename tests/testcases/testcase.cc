// What the kernel tests run inside their groups: small, static, and each of its acts crosses one limit.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <map>
#include <string>

namespace {

/// This process's own cpu time, user and system, in microseconds.
long own_cpu_us() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000L + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

void burn(long us) {
  volatile unsigned work = 0;
  while (own_cpu_us() < us) {
    for (int i = 0; i < 10000; ++i) work = work + 1;
  }
}

/// touch BYTES: uses so much memory, then exits 0.
int touch(long bytes) {
  void* memory =
      ::mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 1;
  std::memset(memory, 1, static_cast<size_t>(bytes));
  return 0;
}

/// fork COUNT: starts children until it has COUNT or fork fails; prints "<children> <errno>".
int fork_past(long count) {
  ::setpgid(0, 0);  // so that it can end its children together
  long made = 0;
  int error = 0;
  while (made < count) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::pause();
      ::_exit(0);
    }
    if (pid < 0) {
      error = errno;
      break;
    }
    ++made;
  }
  std::printf("%ld %d\n", made, error);
  std::fflush(stdout);
  ::signal(SIGTERM, SIG_IGN);
  ::kill(0, SIGTERM);
  return 0;
}

/// bomb: forks for ever, every process of it, until the whole group is killed.
[[noreturn]] int bomb() {
  ::setsid();
  for (;;) {
    if (::fork() < 0) ::sched_yield();
  }
}

/// burn US: itself, a child that it waits for, and a daemon that it does not, use US of cpu time each. Ends when the
/// daemon has.
int burn_tree(long us) {
  int ends[2];
  if (::pipe(ends) != 0) return 1;
  const pid_t child = ::fork();
  if (child == 0) {
    ::setsid();
    if (::fork() == 0) {  // the daemon, in a session of nobody's
      burn(us);
      ::_exit(0);
    }
    burn(us);
    ::_exit(0);
  }
  ::close(ends[1]);
  burn(us);
  ::waitpid(child, nullptr, 0);
  char none;
  return ::read(ends[0], &none, 1) == 0 ? 0 : 1;  // end-of-file: the daemon's copy is closed
}

/// busy MS: spins so many milliseconds of wall clock.
int busy(long ms) {
  timespec now{}, start{};
  ::clock_gettime(CLOCK_MONOTONIC, &start);
  do ::clock_gettime(CLOCK_MONOTONIC, &now);
  while ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 < ms);
  return 0;
}

/// wait: until killed, ignoring SIGTERM.
int wait_for_ever() {
  ::signal(SIGTERM, SIG_IGN);
  for (;;) ::pause();
}

}  // namespace

int main(int argc, char** argv) {
  const std::map<std::string, std::function<int(long)>> acts = {
      {"touch", touch},
      {"fork", fork_past},
      {"bomb", [](long) { return bomb(); }},
      {"burn", burn_tree},
      {"busy", busy},
      {"wait", [](long) { return wait_for_ever(); }},
      {"uid", [](long) { return std::printf("%u %u\n", ::getuid(), ::geteuid()) < 0; }},
  };
  const auto act = argc > 1 ? acts.find(argv[1]) : acts.end();
  if (act == acts.end()) return 122;
  return act->second(argc > 2 ? std::atol(argv[2]) : 0);
}
