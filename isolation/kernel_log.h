// The kernel's own log, and what it says there about a process that it has ended: which address it touched, which
// system call was forbidden. The text is printk's and may change: whatever cannot be read is left out.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace dewar {

/// The kernel's own messages, a line each, oldest first, as far as its buffer goes back. What user space has written
/// into the log is left out: it could claim anything. Errors: of open(2) on /dev/kmsg; EPERM where dmesg is restricted.
Result<std::string> read_kernel_log();

/// The last line that `wanted` takes. If there is none yet, waits up to `patience_ms` for one: some are written by a
/// thread of the kernel's own, a little after the fact. Errors: as read_kernel_log(); ENOENT if there is none.
Result<std::string> find_in_kernel_log(const std::function<bool(std::string_view)>& wanted, int patience_ms);

/// "python3[712]: segfault at 10 ip 0000… sp 0000… error 4 in libc.so.6[7f…]", "traps: x[712] trap divide error ip:…":
/// the process that a fault has ended (its pid as the host numbers it), what it was, where.
struct FaultReport {
  pid_t pid = 0;
  std::string fault;    ///< "segfault", "general protection fault", "trap divide error"
  std::string address;  ///< "0x10"; empty: the log does not tell one
  std::string object;   ///< the program or library whose code it was; empty: not told
};
std::optional<FaultReport> read_fault(std::string_view line);

/// "audit: type=1326 … pid=712 … sig=31 … syscall=170 …": a filter has ended the process for this call.
struct ForbiddenCall {
  pid_t pid = 0;
  int number = -1;
};
std::optional<ForbiddenCall> read_forbidden_call(std::string_view line);

}  // namespace dewar
