#include "isolation/launch/sweep.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "base/clock.h"
#include "base/files.h"
#include "base/process.h"

namespace dewar {

std::vector<pid_t> processes_in(const std::string& folder) {
  std::vector<pid_t> pids;
  const auto text = read_file(folder + "/cgroup.procs");
  if (!text) return pids;
  const char* const end = text->data() + text->size();
  for (const char* at = text->data(); at < end;) {
    pid_t pid = 0;
    at = std::from_chars(at, end, pid).ptr + 1;
    if (pid > 0) pids.push_back(pid);  // 0: a process of a namespace that we do not see
  }
  return pids;
}

namespace {

constexpr int kLookAgainMs = 20;  // v1: how soon to look for processes that were forked while we killed

class Deadline {
 public:
  explicit Deadline(int timeout_ms) : end_(SystemClock().now() + std::chrono::milliseconds(timeout_ms)) {}
  int left_ms() const {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end_ - SystemClock().now());
    return static_cast<int>(std::max<std::int64_t>(left.count(), 0));
  }

 private:
  Time end_;
};

/// cgroup2: the kernel kills all, those that are being forked included, and tells when the group is empty.
bool kill_at_once(const std::string& folder, const Deadline& deadline) {
  const UniqueFd events(::open((folder + "/cgroup.events").c_str(), O_RDONLY | O_CLOEXEC));
  if (!events) return errno == ENOENT;
  for (;;) {
    char text[128] = {};
    if (::pread(events.get(), text, sizeof text - 1, 0) < 0) return errno == ENODEV;
    if (std::string_view(text).find("populated 1") == std::string_view::npos) return true;
    pollfd watched{events.get(), POLLPRI, 0};
    if (retry_eintr([&] { return ::poll(&watched, 1, deadline.left_ms()); }) == 0) return false;
  }
}

/// cgroup v1: one by one. A pidfd opened first and a pid still listed afterwards cannot be somebody else's.
bool kill_each(const std::string& folder, const Deadline& deadline) {
  for (;;) {
    const std::vector<pid_t> listed = processes_in(folder);
    if (listed.empty()) return true;
    if (deadline.left_ms() == 0) return false;
    std::vector<std::pair<pid_t, UniqueFd>> opened;
    for (const pid_t pid : listed) {
      UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
      if (fd) opened.emplace_back(pid, std::move(fd));
    }
    const std::vector<pid_t> still = processes_in(folder);
    for (const auto& [pid, fd] : opened) {
      if (std::ranges::find(still, pid) != still.end()) (void)send_signal(fd, SIGKILL);
    }
    for (const auto& [pid, fd] : opened) {
      pollfd watched{fd.get(), POLLIN, 0};
      retry_eintr([&] { return ::poll(&watched, 1, std::min(kLookAgainMs, deadline.left_ms())); });
    }
  }
}

}  // namespace

bool sweep_cgroup(const std::string& folder, int timeout_ms, std::uint32_t& found) {
  found = static_cast<std::uint32_t>(processes_in(folder).size());
  const Deadline deadline(timeout_ms);
  const UniqueFd kill(::open((folder + "/cgroup.kill").c_str(), O_WRONLY | O_CLOEXEC));
  if (kill && ::write(kill.get(), "1", 1) == 1) return kill_at_once(folder, deadline);
  return kill_each(folder, deadline);
}

}  // namespace dewar
