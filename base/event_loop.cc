#include "base/event_loop.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/files.h"

namespace dewar {

EventLoop::EventLoop()
    : epoll_(::epoll_create1(EPOLL_CLOEXEC)), timer_(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)) {
  (void)watch(timer_.get(), [this] { run_due_timers(); });  // a failure here shows in run()
}

Result<void> EventLoop::watch(int fd, Handler handler, Until until) {
  const auto known = watches_.find(fd);
  epoll_event event{};
  event.events = until == Until::kWritable ? EPOLLOUT : until == Until::kChanged ? EPOLLPRI : EPOLLIN;
  const std::uint64_t generation = next_++;
  event.data.fd = fd;
  const bool same = known != watches_.end() && known->second->until == until;
  if (!same && ::epoll_ctl(epoll_.get(), known == watches_.end() ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event) != 0)
    return fail_errno("watch descriptor " + std::to_string(fd));
  watches_[fd] = std::make_shared<Watch>(Watch{std::move(handler), generation, until});
  return {};
}

void EventLoop::unwatch(int fd) {
  if (watches_.erase(fd) > 0) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

EventLoop::TimerId EventLoop::at(Time when, Handler handler) {
  const TimerId id = next_++;
  timers_.emplace(std::pair{when, id}, std::move(handler));
  when_.emplace(id, when);
  return id;
}

void EventLoop::cancel(TimerId id) {
  const auto found = when_.find(id);
  if (found == when_.end()) return;
  timers_.erase({found->second, id});
  when_.erase(found);
}

/// Sets the timerfd to the earliest timer, if that has changed.
Result<void> EventLoop::arm() {
  const Time earliest = timers_.empty() ? Time{} : std::max(timers_.begin()->first.first, Time{Duration{1}});
  if (earliest == armed_) return {};
  itimerspec spec{};
  const auto since = earliest.time_since_epoch();
  spec.it_value.tv_sec = std::chrono::duration_cast<std::chrono::seconds>(since).count();
  spec.it_value.tv_nsec = (since % std::chrono::seconds(1)).count();
  if (::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &spec, nullptr) != 0) return fail_errno("set timer");
  armed_ = earliest;
  return {};
}

void EventLoop::run_due_timers() {
  std::uint64_t expirations = 0;
  (void)!::read(timer_.get(), &expirations, sizeof expirations);
  armed_ = Time{};
  const Time now = std::chrono::steady_clock::now();
  while (!stopped_ && !timers_.empty() && timers_.begin()->first.first <= now) {
    auto node = timers_.extract(timers_.begin());
    when_.erase(node.key().second);
    node.mapped()();
  }
}

Result<void> EventLoop::run() {
  if (!epoll_ || !timer_) return fail(std::errc::too_many_files_open, "make event loop");
  stopped_ = false;
  while (!stopped_) {
    DEWAR_TRY(arm());
    epoll_event events[64];
    const int count = retry_eintr([&] { return ::epoll_wait(epoll_.get(), events, std::size(events), -1); });
    if (count < 0) return fail_errno("wait for events");
    const std::uint64_t batch = next_++;
    for (int i = 0; i < count && !stopped_; ++i) {
      const auto found = watches_.find(events[i].data.fd);
      // A handler may have closed this descriptor and another one taken its number: events of this batch are not its.
      if (found == watches_.end() || found->second->generation > batch) continue;
      const auto kept = found->second;  // the handler may remove its own watch
      kept->handler();
    }
  }
  return {};
}

}  // namespace dewar
