#include "isolation/capabilities.h"

#include <linux/capability.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

namespace dewar {
namespace {

/// capabilities(7), in the order of their numbers.
constexpr std::array<std::string_view, 41> kNames = {"CHOWN",
                                                     "DAC_OVERRIDE",
                                                     "DAC_READ_SEARCH",
                                                     "FOWNER",
                                                     "FSETID",
                                                     "KILL",
                                                     "SETGID",
                                                     "SETUID",
                                                     "SETPCAP",
                                                     "LINUX_IMMUTABLE",
                                                     "NET_BIND_SERVICE",
                                                     "NET_BROADCAST",
                                                     "NET_ADMIN",
                                                     "NET_RAW",
                                                     "IPC_LOCK",
                                                     "IPC_OWNER",
                                                     "SYS_MODULE",
                                                     "SYS_RAWIO",
                                                     "SYS_CHROOT",
                                                     "SYS_PTRACE",
                                                     "SYS_PACCT",
                                                     "SYS_ADMIN",
                                                     "SYS_BOOT",
                                                     "SYS_NICE",
                                                     "SYS_RESOURCE",
                                                     "SYS_TIME",
                                                     "SYS_TTY_CONFIG",
                                                     "MKNOD",
                                                     "LEASE",
                                                     "AUDIT_WRITE",
                                                     "AUDIT_CONTROL",
                                                     "SETFCAP",
                                                     "MAC_OVERRIDE",
                                                     "MAC_ADMIN",
                                                     "SYSLOG",
                                                     "WAKE_ALARM",
                                                     "BLOCK_SUSPEND",
                                                     "AUDIT_READ",
                                                     "PERFMON",
                                                     "BPF",
                                                     "CHECKPOINT_RESTORE"};

}  // namespace

Result<std::uint64_t> parse_capabilities(const std::vector<std::string>& names) {
  std::uint64_t bits = 0;
  for (const std::string& name : names) {
    std::string plain = name;
    std::ranges::transform(plain, plain.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    if (plain.starts_with("CAP_")) plain.erase(0, 4);
    const auto found = std::ranges::find(kNames, plain);
    if (found == kNames.end())
      return fail("'" + name + "' is no capability; capabilities(7) lists them, for example CAP_NET_BIND_SERVICE");
    bits |= std::uint64_t{1} << (found - kNames.begin());
  }
  return bits;
}

Result<void> check_kept_capabilities(const SandboxSpec& sandbox) {
  constexpr int kOwnTheHost[] = {CAP_SYS_MODULE, CAP_SYS_RAWIO, CAP_SYS_PTRACE, CAP_SYS_ADMIN, CAP_PERFMON, CAP_BPF};
  const std::uint64_t kept = DEWAR_TRY(parse_capabilities(sandbox.keep_capabilities));
  if (sandbox.user_namespace || (sandbox.seccomp != "default" && sandbox.seccomp != "strict")) return {};
  for (const int capability : kOwnTheHost) {
    if ((kept >> capability & 1) == 0) continue;
    return fail("CAP_" + std::string(kNames[static_cast<std::size_t>(capability)]) +
                " would give the task the whole host; with 'user_namespace: true' it ends at the sandbox, and "
                "'seccomp: unconfined' says that the task is trusted");
  }
  return {};
}

}  // namespace dewar
