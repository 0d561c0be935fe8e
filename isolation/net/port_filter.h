// Which ports a task in the host's network may use: programs on its cgroup2 group, at the hooks of bind(2) and of what
// arrives.
#pragma once

#include <linux/bpf.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace dewar {

/// Allows the given ports and 0 ("any that is free", which a client's socket asks for); answers EPERM to all others.
/// For BPF_CGROUP_INET4_BIND and …6_BIND, TCP and UDP alike. Pure.
Result<std::vector<bpf_insn>> port_filter(const std::vector<std::uint16_t>& ports);

/// Drops what arrives at a listening socket (TCP, SCTP) of another port: one that the kernel has chosen, by bind(2) to
/// 0 or by listen(2) without a bind(2), of which no hook hears in time. For BPF_CGROUP_INET_INGRESS. Pure.
Result<std::vector<bpf_insn>> listener_filter(const std::vector<std::uint16_t>& ports);

/// From now on no process in this cgroup2 folder or below binds another port, and nobody can connect to one that it
/// listens on all the same; goes with the group. Errors: ENOTSUP with
/// words where the host has no cgroup2; of bpf(2).
Result<void> allow_only_ports(const std::vector<std::uint16_t>& ports, const std::string& cgroup);

}  // namespace dewar
