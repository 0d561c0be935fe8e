// The kernel, our rights, our programs, the clocks.
#include <linux/capability.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <ctime>

#include "agent/cli/doctor/check.h"
#include "base/files.h"
#include "base/process.h"
#include "base/units.h"
#include "isolation/capabilities.h"
#include "thermos/programs.h"

namespace dewar {
namespace {

Finding kernel(const DoctorHost&) {
  utsname name{};
  ::uname(&name);
  const std::string words = std::string(name.sysname) + " " + name.release + ", " + name.machine;
  const bool close_range = ::syscall(SYS_close_range, ~0u, ~0u, 0) == 0;
  if (!open_child(::getpid()) || !close_range)
    return missing(words + ": no pidfd_open(2) or close_range(2)", "boot Linux 5.10 or later");
  return ok(words);
}

Finding root(const DoctorHost& host) {
  if (host.root) return ok("yes");
  return missing("no: user " + std::to_string(::geteuid()), "dewar run makes sandboxes only as root: use sudo");
}

/// CapEff of proc(5).
std::uint64_t effective_capabilities() {
  const auto status = read_file("/proc/self/status");
  const std::size_t at = status ? status->find("\nCapEff:\t") : std::string::npos;
  return at == std::string::npos ? 0 : std::stoull(status->substr(at + 9), nullptr, 16);
}

std::string lacking(const std::vector<std::string>& names) {
  std::string words;
  for (const std::string& name : names) {
    const auto bit = parse_capabilities({name});
    if (bit && (effective_capabilities() & *bit) == 0) words += (words.empty() ? "" : ", ") + name;
  }
  return words;
}

Finding capabilities(const DoctorHost& host) {
  const std::string needed = lacking({"CAP_SYS_ADMIN", "CAP_SYS_CHROOT", "CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP",
                                      "CAP_CHOWN", "CAP_KILL", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_SYS_PTRACE"});
  if (!host.root) return degraded("not root: none", "run dewar doctor as root");
  if (!needed.empty())
    return missing("without " + needed, "start us with it: container and unit settings take it away");
  const std::string wished = lacking({"CAP_SYS_RESOURCE", "CAP_NET_ADMIN", "CAP_MKNOD", "CAP_BPF", "CAP_SYSLOG"});
  if (wished.empty()) return ok("all that are needed");
  std::string costs;
  if (wished.find("RESOURCE") != wished.npos) costs += "; rlimits cannot be raised, nor PID 1 kept from the OOM killer";
  if (wished.find("SYSLOG") != wished.npos) costs += "; the victim of an OOM kill is not always named";
  return degraded("without " + wished + costs, "start us with it: container and unit settings take it away");
}

Finding programs(const DoctorHost&) {
  std::string found;
  for (const char* name : {"dewar-runner", "dewar-launch"}) {
    const auto path = find_own_program(name);
    if (!path) return missing(path.error().context, "install all of Dewar's programs into one folder");
    if (found.empty()) found = "in " + parent_of(*path);
  }
  if (find_own_program("dewar-fetch")) return ok(found);
  return degraded(found + ", but for dewar-fetch: no task can fetch anything",
                  "install all of Dewar's programs into one folder");
}

Finding clocks(const DoctorHost&) {
  constexpr std::time_t kSane = 1704067200;  // 2024
  if (std::time(nullptr) < kSane)
    return missing("the date is before 2024: records would lie", "set the clock: timedatectl, or chronyd -q");
  const auto milliseconds = [](clockid_t clock) {
    timespec time{};
    ::clock_gettime(clock, &time);
    return time.tv_sec * 1000 + time.tv_nsec / 1000000;
  };
  if (milliseconds(CLOCK_MONOTONIC) > milliseconds(CLOCK_BOOTTIME) + 1000)
    return degraded("the monotonic clock is ahead of the time since boot", "suspect the machine's emulation of time");
  timex state{};
  const int synchronized = ::adjtimex(&state);
  if (synchronized == TIME_ERROR || (state.status & STA_UNSYNC) != 0)
    return degraded("not synchronised: times in records may be off", "run chrony, ntpd or systemd-timesyncd");
  return ok("sane and synchronised, within " + format_duration(std::chrono::microseconds(state.maxerror)));
}

constexpr std::array kChecks = {
    Check{"host", "kernel", kernel},     Check{"host", "root", root},     Check{"host", "capabilities", capabilities},
    Check{"host", "programs", programs}, Check{"host", "clocks", clocks},
};

}  // namespace

std::span<const Check> host_checks() { return kChecks; }

}  // namespace dewar
