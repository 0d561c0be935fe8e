// Network namespaces: kept alive by a mount, and looked into from outside.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace dewar {

/// Binds the network namespace of a process on the new file `path`, so that it outlives the process.
Result<void> pin_netns(pid_t pid, const std::string& path);
/// Takes the mount and the file away. No error if there is none.
Result<void> unpin_netns(const std::string& path);
/// Whether a namespace is bound on `path`.
bool is_pinned(const std::string& path);

/// The address of eth0 in the namespace of a process, IPv4 if it has one: "10.82.0.5"; empty without any.
Result<std::string> address_in_netns(pid_t pid);

/// What went through eth0, as its owner sees it.
struct NetCounters {
  std::int64_t rx_bytes = 0, tx_bytes = 0;
};
/// From the text of `/proc/<pid>/net/dev` (proc(5)), or one line of it; nothing if it has no eth0.
std::optional<NetCounters> parse_net_dev(std::string_view text);

}  // namespace dewar
