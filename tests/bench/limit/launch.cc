// The least work that starts a program in a sandbox: three cgroup v1 folders with limits (or one of cgroup2, into which
// the child is born), namespaces, a lean root with /proc, pivot_root, a given filter, execve; then waitpid and rmdir.
// One process, no shared library, nothing kept for anybody to look at.
//
//   limit_launch [-n COUNT] [-w WARM_UP] [-c THREADS] [-z PAUSE_MS] [-N] [-f FILTER] -r ROOT -- PROGRAM
//
// -N: with a new network namespace. PROGRAM is a path in ROOT and writes the time of its first instruction to stdout
// (see first.S). Prints {"first_us": […], "whole_us": […], "rate": launches per second}.
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <mutex>
#include <string>
#include <thread>

#include "tests/bench/limit/clock.h"

namespace {

struct Options {
  long count = 200, warm_up = 5, threads = 1, pause_ms = 0;
  int namespaces = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
  std::string root;
  std::vector<sock_filter> filter;
  char** argv = nullptr;
};

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

const char* const kControllers[] = {"cpu", "memory", "pids"};

std::string base_of(const std::string& controller) { return "/sys/fs/cgroup/" + controller + "/dewar-bench-limit"; }

bool put(const std::string& path, const char* text) {
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  const bool done = fd >= 0 && write(fd, text, std::strlen(text)) >= 0;
  if (fd >= 0) close(fd);
  return done;
}

/// One launch. With CLONE_VM the child runs in our memory, so it makes system calls and nothing else.
struct Launch {
  const Options& options;
  std::vector<std::string> groups;
  int out = -1;
  const char* failed = nullptr;
  int error = 0;

  void make_groups(const std::string& name) {
    for (const char* controller : kControllers) {
      const std::string folder = base_of(controller) + "/" + name;
      if (mkdir(folder.c_str(), 0755) != 0) die(folder.c_str());
      groups.push_back(folder);
    }
    if (!put(groups[0] + "/cpu.shares", "512") || !put(groups[0] + "/cpu.cfs_quota_us", "100000") ||
        !put(groups[1] + "/memory.limit_in_bytes", "268435456") || !put(groups[2] + "/pids.max", "100"))
      die("limits");
  }

  [[noreturn]] void refuse(const char* what) {
    failed = what;
    error = errno;
    _exit(111);
  }

  void child() {
    for (const std::string& group : groups)
      if (!put(group + "/tasks", "0")) refuse("tasks");
    if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) refuse("private");
    const char* root = options.root.c_str();
    if (mount(root, root, nullptr, MS_BIND | MS_REC, nullptr) != 0 || chdir(root) != 0) refuse("bind");
    if (mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) refuse("proc");
    if (syscall(SYS_pivot_root, ".", ".") != 0 || umount2(".", MNT_DETACH) != 0 || chdir("/") != 0)
      refuse("pivot_root");
    if (sethostname("task", 4) != 0) refuse("hostname");
    if (dup2(out, 1) < 0) refuse("dup2");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) refuse("no_new_privs");
    if (!options.filter.empty()) {
      const sock_fprog program{static_cast<unsigned short>(options.filter.size()),
                               const_cast<sock_filter*>(options.filter.data())};
      if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) refuse("seccomp");
    }
    execve(options.argv[0], options.argv, environ);
    refuse("execve");
  }
};

struct Times {
  std::vector<double> first_us, whole_us;
};

void launch(const Options& options, long id, char* stack_top, int out, Times* times, std::mutex& lock) {
  Launch run{options, {}, out};
  const std::int64_t start = bench::now_ns();
  run.make_groups(std::to_string(getpid()) + "-" + std::to_string(id));
  const auto entry = [](void* self) {
    static_cast<Launch*>(self)->child();
    return 0;
  };
  const pid_t pid = clone(entry, stack_top, CLONE_VM | CLONE_VFORK | SIGCHLD | options.namespaces, &run);
  if (pid < 0) die("clone");
  int status = 0;
  if (waitpid(pid, &status, 0) != pid) die("waitpid");
  if (run.failed != nullptr) {
    errno = run.error;
    die(run.failed);
  }
  for (const std::string& group : run.groups)
    if (rmdir(group.c_str()) != 0) die("rmdir");
  const std::int64_t end = bench::now_ns();
  std::int64_t first = 0;
  if (status != 0 || pread(out, &first, sizeof first, 0) != sizeof first) die("the program said nothing");
  lseek(out, 0, SEEK_SET);
  if (times == nullptr) return;
  const std::lock_guard guard(lock);
  times->first_us.push_back(static_cast<double>(first - start) / 1e3);
  times->whole_us.push_back(static_cast<double>(end - start) / 1e3);
}

Options parse(int argc, char** argv) {
  Options options;
  for (int option = 0; (option = getopt(argc, argv, "+n:w:c:z:Nf:r:")) != -1;) {
    switch (option) {
      case 'n':
        options.count = std::atol(optarg);
        break;
      case 'w':
        options.warm_up = std::atol(optarg);
        break;
      case 'c':
        options.threads = std::atol(optarg);
        break;
      case 'z':
        options.pause_ms = std::atol(optarg);
        break;
      case 'N':
        options.namespaces |= CLONE_NEWNET;
        break;
      case 'r':
        options.root = optarg;
        break;
      case 'f': {
        std::ifstream file(optarg, std::ios::binary);
        const std::string bytes{std::istreambuf_iterator<char>(file), {}};
        options.filter.resize(bytes.size() / sizeof(sock_filter));
        std::memcpy(options.filter.data(), bytes.data(), options.filter.size() * sizeof(sock_filter));
        break;
      }
      default:
        std::exit(2);
    }
  }
  options.argv = argv + optind;
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  for (const char* controller : kControllers) mkdir(base_of(controller).c_str(), 0755);
  Times times;
  std::mutex lock;
  std::atomic<long> next{-options.warm_up};
  const std::int64_t start = bench::now_ns();
  std::vector<std::thread> threads;
  for (long i = 0; i < options.threads; ++i) {
    threads.emplace_back([&] {
      std::vector<char> stack(256 << 10);
      const int out = static_cast<int>(syscall(SYS_memfd_create, "first", MFD_CLOEXEC));
      for (long id = 0; (id = next++) < options.count;) {
        launch(options, id + options.warm_up, stack.data() + stack.size(), out, id < 0 ? nullptr : &times, lock);
        if (options.pause_ms > 0) usleep(static_cast<useconds_t>(options.pause_ms * 1000));
      }
      close(out);
    });
  }
  for (std::thread& thread : threads) thread.join();
  const double seconds = static_cast<double>(bench::now_ns() - start) / 1e9;
  std::printf("{");
  bench::print_samples("first_us", times.first_us);
  bench::print_samples("whole_us", times.whole_us);
  std::printf("\"rate\": %.2f}\n", static_cast<double>(options.count + options.warm_up) / seconds);
}
