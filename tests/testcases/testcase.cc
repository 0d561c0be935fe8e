// What the kernel tests run inside their groups: small, static, and each of its acts crosses one limit.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
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

/// orphans COUNT: so many processes whose parent has ended, each of which then ends itself.
int orphans(long count) {
  while (count > 0) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(::fork() < 0 ? 1 : 0);
    int status = 0;
    if (child > 0 && ::waitpid(child, &status, 0) == child && status == 0) {
      --count;
    } else {
      ::sched_yield();  // there is no room until some have been reaped
    }
  }
  return 0;
}

/// hold BYTES: uses so much memory until killed.
int hold(long bytes) {
  if (touch(bytes) != 0) return 1;
  for (;;) ::pause();
}

/// cache BYTES: has so much of a file in the page cache, written back, and says so by the file "cached"; until killed.
int cache(long bytes) {
  constexpr size_t kBlock = 1 << 20;
  static char block[kBlock] = {1};
  const int file = ::open("pages", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  for (long written = 0; written < bytes; written += kBlock) {
    if (::write(file, block, kBlock) != kBlock) return 1;
  }
  if (::fsync(file) != 0 || ::open("cached", O_CREAT | O_WRONLY | O_CLOEXEC, 0600) < 0) return 2;
  for (;;) ::pause();
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

/// cores: prints how many processors it may run on.
int cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  std::printf("%d\n", CPU_COUNT(&set));
  return 0;
}

/// huge BYTES: maps and touches so much of the usual huge pages; prints mmap(2)'s errno, 0 if it worked.
int huge(long bytes) {
  const auto size = static_cast<size_t>(bytes);
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
  std::printf("%d\n", memory == MAP_FAILED ? errno : 0);
  std::fflush(stdout);
  if (memory != MAP_FAILED) std::memset(memory, 1, size);
  return 0;
}

/// Eight bytes that a test looks at meanwhile.
std::atomic<std::uint64_t>* shared_number(const char* file) {
  const int fd = ::open(file, O_RDWR | O_CLOEXEC);
  void* memory = ::mmap(nullptr, sizeof(std::uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<std::atomic<std::uint64_t>*>(memory);
}

/// count FILE BELL ENOUGH: writes lines with ascending numbers for ever, and keeps in FILE (8 bytes) how many write(2)
/// has taken; rings BELL, a FIFO, when there are enough.
int count(const char* file, const char* bell, std::uint64_t enough) {
  auto* written = shared_number(file);
  const int ring = ::open(bell, O_WRONLY | O_CLOEXEC);
  if (written == nullptr || ring < 0) return 1;
  char line[32];
  for (std::uint64_t n = 0;; ++n) {
    const int size = std::snprintf(line, sizeof line, "%lu\n", n);
    if (::write(1, line, static_cast<size_t>(size)) != size) return 1;
    written->store(n + 1);
    if (n + 1 == enough && ::write(ring, "", 1) != 1) return 1;
  }
}

/// write BYTES, read BYTES: writes so much, past the page cache, to the file "direct" in its working directory, or
/// reads it, 64 KiB at a time; prints the milliseconds that it took.
int direct(long bytes, bool reads) {
  constexpr size_t kBlock = 64 << 10;
  void* block = ::mmap(nullptr, kBlock, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const int file = ::open("direct", (reads ? O_RDONLY : O_WRONLY | O_CREAT | O_TRUNC) | O_DIRECT | O_CLOEXEC, 0600);
  if (file < 0) return 1;
  timespec start{}, now{};
  ::clock_gettime(CLOCK_MONOTONIC, &start);
  for (long done = 0; done < bytes; done += kBlock) {
    if ((reads ? ::read(file, block, kBlock) : ::write(file, block, kBlock)) != kBlock) return 2;
  }
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  std::printf("%ld\n", (now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000);
  return 0;
}

/// compete DEVICE FILE: reads 64 KiB of it at a time, here and there and past the page cache, until killed, and keeps
/// in FILE (8 bytes) how often.
int compete(const char* device, const char* file) {
  constexpr size_t kBlock = 64 << 10;
  void* block = ::mmap(nullptr, kBlock, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  auto* done = shared_number(file);
  const int disk = ::open(device, O_RDONLY | O_DIRECT | O_CLOEXEC);
  const off_t blocks = ::lseek(disk, 0, SEEK_END) / static_cast<off_t>(kBlock);
  if (done == nullptr || disk < 0 || blocks <= 0) return 1;
  std::srand(1);
  while (::pread(disk, block, kBlock, std::rand() % blocks * static_cast<off_t>(kBlock)) > 0) ++*done;
  return 2;
}

/// One device: made in the working directory, then read there or, if it could not be made, at `path`.
void try_device(const char* name, const char* path, mode_t kind, unsigned major_number, unsigned minor_number) {
  const bool made = ::mknod(name, kind | 0600, makedev(major_number, minor_number)) == 0;
  const int fd = ::open(made ? name : path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  std::printf("%s %s %s\n", name, made ? "made" : "not made,", fd >= 0 ? "read" : "not read");
  if (fd >= 0) ::close(fd);
  if (made) ::unlink(name);
}

/// devices DEVICE: one that every task may use, the kernel's log, and this disk of the host's.
int devices(const char* disk) {
  struct stat info {};
  if (::stat(disk, &info) != 0) return 1;
  try_device("null", "/dev/null", S_IFCHR, 1, 3);
  try_device("kmsg", "/dev/kmsg", S_IFCHR, 1, 11);
  try_device("disk", disk, S_IFBLK, major(info.st_rdev), minor(info.st_rdev));
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
      {"orphans", orphans},
      {"hold", hold},
      {"cache", cache},
      {"fork", fork_past},
      {"bomb", [](long) { return bomb(); }},
      {"burn", burn_tree},
      {"busy", busy},
      {"cores", [](long) { return cores(); }},
      {"huge", huge},
      {"write", [](long bytes) { return direct(bytes, false); }},
      {"read", [](long bytes) { return direct(bytes, true); }},
      {"compete", [&](long) { return argc > 3 ? compete(argv[2], argv[3]) : 1; }},
      {"devices", [&](long) { return argc > 2 ? devices(argv[2]) : 1; }},
      {"wait", [](long) { return wait_for_ever(); }},
      {"count", [&](long) { return argc > 4 ? count(argv[2], argv[3], std::strtoull(argv[4], nullptr, 10)) : 1; }},
      {"uid", [](long) { return std::printf("%u %u\n", ::getuid(), ::geteuid()) < 0; }},
  };
  const auto act = argc > 1 ? acts.find(argv[1]) : acts.end();
  if (act == acts.end()) return 122;
  return act->second(argc > 2 ? std::atol(argv[2]) : 0);
}
