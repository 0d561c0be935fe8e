// Tells what stands in the way of each system call, by each of the three doors to the kernel, without making any: one
// line a number, "NUMBER passed", "NUMBER EPERM", "NUMBER ENOSYS", "NUMBER errno N" or "NUMBER signal N".
//
//     calls native                    every number of x86-64, with arguments of 0 (sockets: AF_UNIX)
//     calls one NUMBER A B            this one, with these two arguments
//     calls i386 | calls x32          every number by int 0x80, or with bit 30; each in a child, which it may end
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/support/call32.h"

namespace {

constexpr int kPassed = 4000;  // no errno of the kernel's
constexpr int kNumbers = 1024;
constexpr int kX32 = 0x40000000;
// The kernel's own way back out of probes: no filter sees them, and whoever else makes one ends by SIGILL.
constexpr long kUretprobe = 335, kUprobe = 336;

struct Call {
  long number, a, b;
  int error = 0;
};

/// Of all filters that a call goes through the sternest answer counts, and "ask the listener" is milder than any
/// refusal. So what arrives at a listener of our own has passed all others, and is answered before it does anything.
class Listener {
 public:
  /// Tries the calls on a thread of their own, under that filter.
  bool try_all(std::vector<Call>& calls) {
    std::thread thread([&] { make(calls); });
    while (fd_ == kNotYet) ::usleep(100);
    if (fd_ >= 0) answer();
    thread.join();
    return fd_ >= 0;
  }

 private:
  static constexpr int kNotYet = -2;

  void make(std::vector<Call>& calls) {
    sock_filter ask{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_USER_NOTIF};
    const sock_fprog program{1, &ask};
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    fd_ = static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program));
    if (fd_ < 0) return;
    for (Call& call : calls) {
      trying_ = true;
      call.error = ::syscall(call.number, call.a, call.b, 0L, 0L, 0L, 0L) < 0 ? errno : 0;
      trying_ = false;
    }
  }

  void answer() {
    for (;;) {
      pollfd asked{fd_, POLLIN, 0};
      if (::poll(&asked, 1, -1) < 0 || (asked.revents & POLLIN) == 0) return;  // the thread has ended
      seccomp_notif question{};
      if (::ioctl(fd_, SECCOMP_IOCTL_NOTIF_RECV, &question) != 0) continue;
      seccomp_notif_resp reply{};
      reply.id = question.id;
      if (trying_) {
        reply.error = -kPassed;
      } else {
        reply.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
      }
      ::ioctl(fd_, SECCOMP_IOCTL_NOTIF_SEND, &reply);
    }
  }

  std::atomic<int> fd_ = kNotYet;
  std::atomic<bool> trying_ = false;
};

void tell(long number, int error) {
  if (error == kPassed) {
    std::printf("%ld passed\n", number);
  } else if (error == EPERM || error == ENOSYS) {
    std::printf("%ld %s\n", number, error == EPERM ? "EPERM" : "ENOSYS");
  } else {
    std::printf("%ld errno %d\n", number, error);
  }
}

int try_native(std::vector<Call> calls) {
  if (!Listener().try_all(calls)) return 1;
  for (const Call& call : calls) tell(call.number, call.error);
  return 0;
}

/// What is to end the process is seen only by who watches it end.
int try_in_children(int count, long (*make)(long)) {
  for (long number = 0; number < count; ++number) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      const long result = make(number);
      ::_exit(result == -EPERM ? 1 : result == -ENOSYS ? 2 : 3);
    }
    int status = 0;
    if (pid < 0 || ::waitpid(pid, &status, 0) != pid) return 1;
    if (WIFSIGNALED(status)) {
      std::printf("%ld signal %d\n", number, WTERMSIG(status));
    } else {
      tell(number, WEXITSTATUS(status) == 1 ? EPERM : WEXITSTATUS(status) == 2 ? ENOSYS : kPassed);
    }
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view door = argc > 1 ? argv[1] : "";
  constexpr rlimit kNoCore{0, 0};
  ::setrlimit(RLIMIT_CORE, &kNoCore);
  std::setvbuf(stdout, nullptr, _IOFBF, 1 << 16);
  int failed = 122;
  if (door == "native") {
    std::vector<Call> calls;
    for (long number = 0; number < kNumbers; ++number) {
      if (number == kUretprobe || number == kUprobe) continue;
      calls.push_back({number, number == SYS_socket || number == SYS_socketpair ? AF_UNIX : 0, 0});
    }
    failed = try_native(std::move(calls));
  } else if (door == "one" && argc == 5) {
    failed = try_native(
        {{std::strtol(argv[2], nullptr, 0), std::strtol(argv[3], nullptr, 0), std::strtol(argv[4], nullptr, 0)}});
  } else if (door == "i386") {
    failed = try_in_children(480, dewar::call32);
  } else if (door == "x32") {
    failed = try_in_children(
        560, [](long number) { return ::syscall(kX32 + number, -1L, -1L, -1L, -1L, -1L, -1L) < 0 ? long{-errno} : 0; });
  }
  std::fflush(stdout);
  return failed;
}
