#include "isolation/net/netns.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/magic.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <memory>

#include "base/files.h"

namespace dewar {
namespace {

constexpr std::string_view kInterface = "eth0";

std::string netns_of(pid_t pid) { return "/proc/" + std::to_string(pid) + "/ns/net"; }

/// The calling thread is in another network namespace while this lives.
class InNetns {
 public:
  static Result<std::unique_ptr<InNetns>> enter(pid_t pid) {
    UniqueFd home = DEWAR_TRY(open_file("/proc/thread-self/ns/net", O_RDONLY));
    const UniqueFd there = DEWAR_TRY(open_file(netns_of(pid), O_RDONLY));
    if (::setns(there.get(), CLONE_NEWNET) != 0) return fail_errno("enter " + netns_of(pid));
    return std::unique_ptr<InNetns>(new InNetns(std::move(home)));
  }
  InNetns(const InNetns&) = delete;
  InNetns& operator=(const InNetns&) = delete;
  ~InNetns() {
    if (::setns(home_.get(), CLONE_NEWNET) != 0) std::abort();  // we must not go on in a stranger's network
  }

 private:
  explicit InNetns(UniqueFd home) : home_(std::move(home)) {}
  UniqueFd home_;
};

std::string text_of(const sockaddr* address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address->sa_family == AF_INET) {
    ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(address)->sin_addr, text, sizeof text);
  } else if (address->sa_family == AF_INET6) {
    const in6_addr& v6 = reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr;
    if (!IN6_IS_ADDR_LINKLOCAL(&v6)) ::inet_ntop(AF_INET6, &v6, text, sizeof text);
  }
  return text;
}

std::int64_t number(std::string_view& rest) {
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  std::int64_t value = 0;
  const auto end = std::from_chars(rest.data(), rest.data() + rest.size(), value).ptr;
  rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
  return value;
}

}  // namespace

Result<void> pin_netns(pid_t pid, const std::string& path) {
  DEWAR_TRY(make_dirs(parent_of(path), 0700));
  DEWAR_TRY(open_file(path, O_RDONLY | O_CREAT | O_NOFOLLOW, 0600));
  if (::mount(netns_of(pid).c_str(), path.c_str(), nullptr, MS_BIND, nullptr) != 0)
    return fail_errno("bind the network namespace of process " + std::to_string(pid) + " at " + path);
  return {};
}

Result<void> unpin_netns(const std::string& path) {
  if (is_pinned(path) && ::umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0)
    return fail_errno("unmount " + path);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail_errno("remove " + path);
  return {};
}

bool is_pinned(const std::string& path) {
  struct statfs info {};
  return ::statfs(path.c_str(), &info) == 0 && info.f_type == NSFS_MAGIC;
}

Result<std::string> address_in_netns(pid_t pid) {
  const auto inside = DEWAR_TRY(InNetns::enter(pid));
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return fail_errno("list the addresses of process " + std::to_string(pid));
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owned(all, &::freeifaddrs);
  std::string found;
  for (const ifaddrs* one = all; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || one->ifa_name != kInterface) continue;
    if (one->ifa_addr->sa_family == AF_INET) return text_of(one->ifa_addr);
    if (found.empty()) found = text_of(one->ifa_addr);
  }
  return found;
}

std::optional<NetCounters> parse_net_dev(std::string_view text) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    if (!line.starts_with(kInterface) || line.substr(kInterface.size(), 1) != ":") continue;
    line.remove_prefix(kInterface.size() + 1);
    NetCounters counters;
    counters.rx_bytes = number(line);
    for (int skipped = 0; skipped < 7; ++skipped) number(line);  // the rest of what was received
    counters.tx_bytes = number(line);
    return counters;
  }
  return std::nullopt;
}

}  // namespace dewar
