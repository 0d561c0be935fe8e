#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "isolation/sandbox_spec.h"

namespace dewar {

/// {"CAP_NET_BIND_SERVICE"} -> 1 << 10. Upper or lower case, "CAP_" may be left out. Errors: words that quote the name.
Result<std::uint64_t> parse_capabilities(const std::vector<std::string>& names);

/// Some capabilities give a task the host, whatever else its sandbox does: CAP_SYS_ADMIN mounts, CAP_SYS_PTRACE looks
/// into processes that are just entering the sandbox, CAP_SYS_MODULE, CAP_SYS_RAWIO, CAP_BPF and CAP_PERFMON reach the
/// kernel's memory. Errors: words, unless the task has a user namespace, where they end at its border, or brings a
/// filter of its own (or none), which says that it is trusted.
Result<void> check_kept_capabilities(const SandboxSpec& sandbox);

}  // namespace dewar
