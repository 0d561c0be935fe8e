// Who listens on which port: the kernel's own list (sock_diag(7)), one question for every kind of socket.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace dewar {

enum class Transport : std::uint8_t { kTcp, kUdp };

/// A socket that others can reach: TCP that listens, UDP that is bound and not connected.
struct Listener {
  Transport transport = Transport::kTcp;
  std::string address;  ///< "0.0.0.0", "::1"
  std::uint16_t port = 0;
  std::uint64_t inode = 0;   ///< as in /proc/<pid>/fd: "socket:[inode]"
  std::uint64_t cgroup = 0;  ///< inode number of the cgroup2 folder its maker was in; 0: the kernel does not tell
};

/// All in the network namespace of the calling thread. Costs some microseconds per socket of the host that listens.
/// Errors: of netlink(7); ENOENT where the kernel has no sock_diag.
Result<std::vector<Listener>> list_listeners();

/// Reads one datagram of an answer. Returns whether more will follow. Errors: EBADMSG for what does not fit; the errno
/// that the kernel answered.
Result<bool> read_listeners(std::string_view datagram, Transport transport, std::vector<Listener>& out);

/// "tcp 0.0.0.0:80", "udp [::1]:53".
std::string to_string(const Listener& listener);

}  // namespace dewar
