#include "isolation/cgroup/members.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "base/clock.h"
#include "base/files.h"
#include "base/process.h"
#include "isolation/cgroup/stat.h"

namespace dewar {
namespace {

using std::chrono::milliseconds;

/// Calls `act` for the folder and all groups below, the deepest first.
template <class Act>
Result<void> each_group(const std::string& folder, const Act& act) {
  for (const std::string& child : child_groups(folder)) DEWAR_TRY(each_group(folder + "/" + child, act));
  return act(folder);
}

bool is_gone(const Error& error) {
  return error.code == std::errc::no_such_file_or_directory || error.code.value() == ENODEV;
}

/// The pids in `file` of the folder and of all below. A group that is removed meanwhile has none (ENOENT, ENODEV).
Result<std::vector<pid_t>> pids_in(const std::string& folder, const std::string& file) {
  std::vector<pid_t> all;
  DEWAR_TRY(each_group(folder, [&](const std::string& group) -> Result<void> {
    const auto text = read_file(group + "/" + file);
    if (!text) return is_gone(text.error()) ? Result<void>{} : Result<void>(Failure{text.error()});
    const std::vector<pid_t> here = parse_pids(*text);
    all.insert(all.end(), here.begin(), here.end());
    return {};
  }));
  return all;
}

int remaining_ms(Time deadline) {
  const auto left = std::chrono::ceil<milliseconds>(deadline - SystemClock().now()).count();
  return static_cast<int>(std::max<std::int64_t>(left, 0));
}

/// Waits on cgroup.events until "populated 0". True when the group is empty or gone, false at the deadline.
Result<bool> wait_unpopulated(const std::string& folder, Time deadline) {
  const auto events = open_file(folder + "/cgroup.events", O_RDONLY);
  if (!events) return is_gone(events.error()) ? Result<bool>(true) : Result<bool>(Failure{events.error()});
  while (true) {
    char text[256];
    const ssize_t n = ::pread(events->get(), text, sizeof text, 0);
    if (n < 0) return errno == ENODEV ? Result<bool>(true) : fail_errno("read " + folder + "/cgroup.events");
    if (parse_field({text, static_cast<std::size_t>(n)}, "populated") == 0) return true;
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

/// Without cgroup.kill: again and again, until a look finds nobody. A process with a signal pending forks no more, so
/// each round can only be outrun by children born during it.
Result<void> kill_by_rounds(const std::string& folder, Time deadline) {
  for (int pause_ms = 0;; pause_ms = std::min(pause_ms + 1, 20)) {
    if (DEWAR_TRY(signal_members(folder, SIGKILL)) == 0 && !DEWAR_TRY(has_members(folder))) return {};
    const int left = remaining_ms(deadline);
    if (left == 0) return still_there(folder);
    ::poll(nullptr, 0, std::min(pause_ms, left));
  }
}

}  // namespace

std::vector<std::string> child_groups(const std::string& folder) {
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
  if (const auto events = read_file(folder + "/cgroup.events")) return parse_field(*events, "populated") != 0;
  return !DEWAR_TRY(members(folder)).empty();
}

Result<std::int64_t> count_threads(const std::string& folder) {
  const std::string file = exists(folder + "/cgroup.threads") ? "cgroup.threads" : "tasks";
  return static_cast<std::int64_t>(DEWAR_TRY(pids_in(folder, file)).size());
}

Result<int> signal_members(const std::string& folder, int signal) {
  struct Target {
    pid_t pid;
    UniqueFd pidfd;
  };
  std::vector<Target> targets;
  for (const pid_t pid : DEWAR_TRY(members(folder))) {
    if (auto pidfd = open_child(pid)) targets.push_back({pid, std::move(pidfd).take()});
  }
  // Each pidfd pins one process now. If its number is still (or again) a member's, it is a member or has ended, and
  // signalling what has ended does nothing: never a stranger.
  std::vector<pid_t> still = DEWAR_TRY(members(folder));
  std::ranges::sort(still);
  int sent = 0;
  for (const Target& target : targets) {
    if (!std::ranges::binary_search(still, target.pid)) continue;
    DEWAR_TRY(send_signal(target.pidfd, signal));
    ++sent;
  }
  return sent;
}

Result<void> kill_members(const std::string& folder, int timeout_ms) {
  const Time deadline = SystemClock().now() + milliseconds(timeout_ms);
  const auto kill_switch = open_file(folder + "/cgroup.kill", O_WRONLY);
  if (!kill_switch) return kill_by_rounds(folder, deadline);  // v1, or cgroup2 before Linux 5.14
  if (const auto written = write_all(kill_switch->get(), "1", folder + "/cgroup.kill"); !written)
    return is_gone(written.error()) ? Result<void>{} : Result<void>(Failure{written.error()});
  if (!DEWAR_TRY(wait_unpopulated(folder, deadline))) return still_there(folder);
  return {};
}

Result<void> write_group_file(const std::string& folder, const std::string& file, const std::string& text) {
  const UniqueFd dir = DEWAR_TRY(open_file(folder, O_PATH | O_DIRECTORY));
  return write_knob(dir, file, text).context(folder);
}

Result<void> inherit_cpuset(const std::string& folder) {
  if (exists(folder + "/cgroup.events")) return {};  // in cgroup2 an empty list is the parent's
  for (const char* file : {"cpuset.cpus", "cpuset.mems"}) {
    const auto own = read_file(folder + "/" + file);
    if (!own || own->find_first_not_of('\n') != std::string::npos) continue;
    const std::string parents = DEWAR_TRY(read_file(parent_of(folder) + "/" + file));
    DEWAR_TRY(write_group_file(folder, file, parents));
  }
  return {};
}

Result<void> remove_group(const std::string& folder) {
  return each_group(folder, [](const std::string& group) -> Result<void> {
    constexpr int kTries = 12;  // with the pauses below half a second
    for (int tried = 0;; ++tried) {
      if (::rmdir(group.c_str()) == 0 || errno == ENOENT) return {};
      const Failure failure = fail_errno("remove cgroup " + group);
      const auto lived_in = has_members(group);
      if (failure.error.code.value() != EBUSY || tried == kTries || (lived_in && *lived_in)) return failure;
      ::poll(nullptr, 0, std::min(1 << tried, 64));
    }
  });
}

}  // namespace dewar
