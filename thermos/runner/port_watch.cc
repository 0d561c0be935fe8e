#include "thermos/runner/port_watch.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <sstream>

#include "base/cgroup_members.h"
#include "base/files.h"
#include "thermos/events.h"

namespace dewar {
namespace {

constexpr int kPeriod = 10, kAfterStart = 2;  // seconds, the first of which has begun
constexpr std::size_t kMostTold = 100;

std::pair<int, int> ephemeral_ports() {
  std::pair<int, int> range{32768, 60999};
  if (const auto text = read_file("/proc/sys/net/ipv4/ip_local_port_range"))
    std::istringstream(*text) >> range.first >> range.second;
  return range;
}

/// One attempt's group: whose it is, and how its sockets are known.
struct Group {
  std::string process;
  int run = 0;
  std::uint64_t id = 0;  ///< of the cgroup2 folder; 0: there is none
  std::string folder;    ///< where its processes are listed
};

/// "web.0", or "process.2.0" for a process whose name is no group's (see attempt.cc).
Group group_of(const RunnerSpec& spec, const Cgroup& task, const std::string& leaf) {
  Group group;
  const std::size_t dot = std::min(leaf.rfind('.'), leaf.size());
  group.process = leaf.substr(0, dot);
  if (dot < leaf.size()) std::from_chars(leaf.data() + dot + 1, leaf.data() + leaf.size(), group.run);
  if (group.process.starts_with("process.")) {
    std::size_t place = spec.plan.processes.size();
    std::from_chars(leaf.data() + std::string("process.").size(), leaf.data() + dot, place);
    if (place < spec.plan.processes.size()) group.process = spec.plan.processes[place].name;
  }
  if (const auto found = task.find_leaf(leaf)) {
    group.folder = found->sweep_folder();
    struct stat info {};
    if (!found->unified().empty() && ::stat(found->unified().c_str(), &info) == 0) group.id = info.st_ino;
  }
  return group;
}

/// Inode numbers of the sockets that a group's processes have open: for kernels and hosts that do not tell a socket's
/// cgroup.
std::set<std::uint64_t> sockets_in(const std::string& folder) {
  std::set<std::uint64_t> inodes;
  const auto pids = members(folder);
  for (const pid_t pid : pids ? *pids : std::vector<pid_t>{}) {
    const std::string fds = "/proc/" + std::to_string(pid) + "/fd";
    const auto names = list_dir(fds);
    for (const std::string& name : names ? *names : std::vector<std::string>{}) {
      char target[64] = "";
      constexpr std::string_view kSocket = "socket:[";
      const ssize_t size = ::readlink((fds + "/" + name).c_str(), target, sizeof target - 1);
      if (size <= 0 || !std::string_view(target).starts_with(kSocket)) continue;
      std::uint64_t inode = 0;
      std::from_chars(target + kSocket.size(), target + size, inode);
      inodes.insert(inode);
    }
  }
  return inodes;
}

}  // namespace

PortWatch::PortWatch(const WatchContext& context) : context_(context), ephemeral_(ephemeral_ports()) {
  for (const auto& [name, port] : context_.spec.ports) given_.insert(static_cast<std::uint16_t>(port));
  run_started();
}

/// The earliest look counts: a task that starts a process each moment is still looked at.
void PortWatch::run_started() {
  seconds_left_ = seconds_left_ == 0 ? kAfterStart : std::min(seconds_left_, kAfterStart);
}

void PortWatch::each_second(const Usage&) {
  if (--seconds_left_ > 0) return;
  look();
  seconds_left_ = kPeriod;
}

bool PortWatch::is_expected(const Listener& listener) const {
  if (listener.port == 0 || given_.contains(listener.port)) return true;
  return listener.transport == Transport::kUdp && listener.port >= ephemeral_.first &&
         listener.port <= ephemeral_.second;
}

/// What the task's processes listen on beyond what they were given.
Result<std::map<PortWatch::Where, Listener>> PortWatch::strangers() const {
  std::vector<Listener> unexpected = DEWAR_TRY(list_listeners());
  std::erase_if(unexpected, [this](const Listener& listener) { return is_expected(listener); });
  std::map<Where, Listener> found;
  if (unexpected.empty()) return found;
  const Cgroup& task = context_.container.cgroup();
  for (const std::string& leaf : task.leaves()) {
    const Group group = group_of(context_.spec, task, leaf);
    const bool by_inode =
        std::ranges::any_of(unexpected, [&](const Listener& one) { return one.cgroup == 0 || group.id == 0; });
    const std::set<std::uint64_t> inodes = by_inode ? sockets_in(group.folder) : std::set<std::uint64_t>{};
    for (const Listener& one : unexpected) {
      const bool ours = one.cgroup != 0 && group.id != 0 ? one.cgroup == group.id : inodes.contains(one.inode);
      if (ours) found.try_emplace({one.transport, one.port, group.process, group.run}, one);
    }
  }
  return found;
}

void PortWatch::look() {
  const auto tell = [this](const Where& where, const std::string& words) {
    context_.tell(
        {0,
         "port",
         where.process,
         where.run,
         words,
         {{"port", std::to_string(where.port)}, {"transport", where.transport == Transport::kUdp ? "udp" : "tcp"}}});
  };
  auto now = strangers();
  if (!now) {
    if (!std::exchange(blind_, true))
      context_.tell({0, "port", "", 0, "the ports of the task are not watched: " + now.error().message()});
    return;
  }
  for (const auto& [where, listener] : *now) {
    if (told_.contains(where) || full_) continue;
    told_.emplace(where, listener);
    tell(where, "listens on " + to_string(listener) + ", which the task was not given");
    full_ = ++count_ == kMostTold;
    if (full_) tell(where, "has taken so many ports that no more are told");
  }
  std::erase_if(told_, [&](const auto& entry) {
    const auto& [where, listener] = entry;
    if (now->contains(where)) return false;
    if (!full_) tell(where, "no longer listens on " + to_string(listener));
    return true;
  });
}

void tell_network(const WatchContext& context) {
  const auto tell = [&](const std::string& words) {
    const auto known = read_events(context.spec.run_folder);
    const bool told = std::ranges::any_of(known, [&](const EventRecord& event) { return event.words == words; });
    if (!told) context.tell({0, "network", "", 0, words});
  };
  const std::string address = context.container.address();
  std::string words = "the task is in network '" + context.spec.network.name + "'";
  if (!address.empty()) words += " with the address " + address;
  std::set<std::int64_t> numbers;
  for (const auto& [name, port] : context.spec.ports) numbers.insert(port);
  std::string ports;
  for (const std::int64_t port : numbers) ports += (ports.empty() ? "" : ", ") + std::to_string(port);
  if (!ports.empty()) words += "; the host's ports " + ports + " lead to the same ones there";
  tell(words);
  if (!context.spec.network.warning.empty()) tell(context.spec.network.warning);
}

}  // namespace dewar
