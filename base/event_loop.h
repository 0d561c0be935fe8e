#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace dewar {

/// One thread's events: descriptors (pidfds, sockets, inotify, signalfds) and timers, over epoll(7) and one
/// timerfd. Owns no descriptor it watches. Not thread-safe; handlers run on the thread that calls run(), may add and
/// remove watches and timers (their own too), and must not block. Sleeps in the kernel until something happens.
class EventLoop {
 public:
  using Handler = std::function<void()>;
  using TimerId = std::uint64_t;

  /// Errors: those of epoll_create1(2) and timerfd_create(2), told by the first watch() or run().
  EventLoop();

  /// What is waited for: that a descriptor is readable (or has hung up), writable, or that a control file of cgroup2
  /// has changed since it was read (POLLPRI in poll(2)).
  enum class Until : std::uint8_t { kReadable, kWritable, kChanged };
  /// Calls `handler` whenever it is so. Replaces an earlier watch of the same descriptor.
  Result<void> watch(int fd, Handler handler, Until until = Until::kReadable);
  /// Before the descriptor is closed. No error if it is not watched.
  void unwatch(int fd);

  /// Calls `handler` once, at `when` or as soon as possible after.
  TimerId at(Time when, Handler handler);
  /// No error if it has run already.
  void cancel(TimerId id);

  /// Runs handlers until one calls stop(), or an error of epoll_wait(2). May be run again.
  Result<void> run();
  void stop() { stopped_ = true; }

 private:
  Result<void> arm();
  void run_due_timers();

  struct Watch {
    Handler handler;
    std::uint64_t generation;
    Until until;
  };
  UniqueFd epoll_, timer_;
  std::map<int, std::shared_ptr<Watch>> watches_;
  std::map<std::pair<Time, TimerId>, Handler> timers_;
  std::map<TimerId, Time> when_;
  std::uint64_t next_ = 1;
  Time armed_{};
  bool stopped_ = false;
};

}  // namespace dewar
