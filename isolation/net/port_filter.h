// Which ports a task in the host's network may bind: a program at the bind(2) hooks of its cgroup2 group.
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

/// From now on no process in this cgroup2 folder or below binds another port; goes with the group. Errors: ENOTSUP with
/// words where the host has no cgroup2; of bpf(2).
Result<void> allow_only_ports(const std::vector<std::uint16_t>& ports, const std::string& cgroup);

}  // namespace dewar
