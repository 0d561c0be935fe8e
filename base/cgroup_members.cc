#include "base/cgroup_members.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <string_view>

#include "base/clock.h"
#include "base/files.h"
#include "base/process.h"

namespace dewar {
namespace {

using std::chrono::milliseconds;

bool is_gone(const Error& error) {
  return error.code == std::errc::no_such_file_or_directory || error.code.value() == ENODEV;
}

/// Adds the pids in `file` of the folder and of all below. A group that is removed meanwhile has none (ENOENT, ENODEV).
Result<void> add_pids(const std::string& folder, const std::string& file, std::vector<pid_t>& all) {
  for (const std::string& child : child_groups(folder)) DEWAR_TRY(add_pids(folder + "/" + child, file, all));
  const auto text = read_file(folder + "/" + file);
  if (!text) return is_gone(text.error()) ? Result<void>{} : Result<void>(Failure{text.error()});
  const std::vector<pid_t> here = parse_pids(*text);
  all.insert(all.end(), here.begin(), here.end());
  return {};
}

Result<std::vector<pid_t>> pids_in(const std::string& folder, const std::string& file) {
  std::vector<pid_t> all;
  DEWAR_TRY(add_pids(folder, file, all));
  return all;
}

bool is_populated(std::string_view events) { return events.find("populated 1") != std::string_view::npos; }

int remaining_ms(Time deadline) {
  const auto left = std::chrono::ceil<milliseconds>(deadline - SystemClock().now()).count();
  return static_cast<int>(std::max<std::int64_t>(left, 0));
}

constexpr int kLookAgainMs = 20;  // how soon to look for processes that were forked while we killed

/// Waits on cgroup.events until "populated 0". True when the group is empty or gone, false at the deadline.
Result<bool> wait_unpopulated(const std::string& folder, Time deadline) {
  const auto events = open_file(folder + "/cgroup.events", O_RDONLY);
  if (!events) return is_gone(events.error()) ? Result<bool>(true) : Result<bool>(Failure{events.error()});
  while (true) {
    char text[256];
    const ssize_t n = ::pread(events->get(), text, sizeof text, 0);
    if (n < 0) return errno == ENODEV ? Result<bool>(true) : fail_errno("read " + folder + "/cgroup.events");
    if (!is_populated({text, static_cast<std::size_t>(n)})) return true;
    const int left = remaining_ms(deadline);
    if (left == 0) return false;
    pollfd changed{events->get(), POLLPRI, 0};
    ::poll(&changed, 1, left);
  }
}

Failure still_there(const std::string& folder) {
  const auto left = members(folder);
  return fail(std::errc::timed_out, "wait for the last processes of " + folder + " to end (" +
                                        std::to_string(left ? left->size() : 0) + " are stuck in the kernel)");
}

/// The members, each pinned by a pidfd that was opened while its number stood for one. If the number is still (or
/// again) a member's afterwards, it is a member or has ended, and signalling what has ended does nothing: never a
/// stranger.
Result<std::vector<UniqueFd>> pin_members(const std::string& folder) {
  std::vector<std::pair<pid_t, UniqueFd>> opened;
  for (const pid_t pid : DEWAR_TRY(members(folder))) {
    if (auto pidfd = open_child(pid)) opened.emplace_back(pid, std::move(pidfd).take());
  }
  std::vector<pid_t> still = DEWAR_TRY(members(folder));
  std::ranges::sort(still);
  std::vector<UniqueFd> pinned;
  for (auto& [pid, pidfd] : opened) {
    if (std::ranges::binary_search(still, pid)) pinned.push_back(std::move(pidfd));
  }
  return pinned;
}

/// Without cgroup.kill: again and again, until a look finds nobody. A process with a signal pending forks no more, so
/// each round can only be outrun by children born during it.
Result<void> kill_by_rounds(const std::string& folder, Time deadline) {
  for (int pause_ms = 0; DEWAR_TRY(has_members(folder)); pause_ms = std::min(pause_ms + 1, kLookAgainMs)) {
    const std::vector<UniqueFd> pinned = DEWAR_TRY(pin_members(folder));
    for (const UniqueFd& pidfd : pinned) DEWAR_TRY(send_signal(pidfd, SIGKILL));
    for (const UniqueFd& pidfd : pinned) {
      pollfd ended{pidfd.get(), POLLIN, 0};
      ::poll(&ended, 1, std::min(kLookAgainMs, remaining_ms(deadline)));
    }
    const int left = remaining_ms(deadline);
    if (left == 0) return still_there(folder);
    ::poll(nullptr, 0, std::min(pause_ms, left));  // for those that are dead but still listed
  }
  return {};
}

}  // namespace

std::vector<pid_t> parse_pids(std::string_view text) {
  std::vector<pid_t> pids;
  const char* const end = text.data() + text.size();
  for (const char* at = text.data(); at < end;) {
    pid_t pid = 0;
    at = std::from_chars(at, end, pid).ptr + 1;
    if (pid > 0) pids.push_back(pid);
  }
  return pids;
}

std::vector<std::string> child_groups(const std::string& folder) {
  // A folder of cgroups counts a link for each folder in it, beside its own two.
  struct stat info {};
  if (::stat(folder.c_str(), &info) != 0 || info.st_nlink == 2) return {};
  const auto close = [](DIR* dir) { ::closedir(dir); };
  const std::unique_ptr<DIR, decltype(close)> dir(::opendir(folder.c_str()), close);
  std::vector<std::string> names;
  while (const dirent* entry = dir ? ::readdir(dir.get()) : nullptr) {
    if (entry->d_type == DT_DIR && entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  std::ranges::sort(names);
  return names;
}

Result<std::vector<pid_t>> members(const std::string& folder) { return pids_in(folder, "cgroup.procs"); }

Result<bool> has_members(const std::string& folder) {
  if (const auto events = read_file(folder + "/cgroup.events")) return is_populated(*events);
  return !DEWAR_TRY(members(folder)).empty();
}

Result<int> signal_members(const std::string& folder, int signal) {
  const std::vector<UniqueFd> pinned = DEWAR_TRY(pin_members(folder));
  for (const UniqueFd& pidfd : pinned) DEWAR_TRY(send_signal(pidfd, signal));
  return static_cast<int>(pinned.size());
}

Result<void> kill_members(const std::string& folder, int timeout_ms) {
  if (!DEWAR_TRY(has_members(folder))) return {};
  const Time deadline = SystemClock().now() + milliseconds(timeout_ms);
  const auto kill_switch = open_file(folder + "/cgroup.kill", O_WRONLY);
  if (!kill_switch) return kill_by_rounds(folder, deadline);  // v1, or cgroup2 before Linux 5.14
  if (const auto written = write_all(kill_switch->get(), "1", folder + "/cgroup.kill"); !written)
    return is_gone(written.error()) ? Result<void>{} : Result<void>(Failure{written.error()});
  if (!DEWAR_TRY(wait_unpopulated(folder, deadline))) return still_there(folder);
  return {};
}

}  // namespace dewar
