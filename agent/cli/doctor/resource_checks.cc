// What there is to give away: memory, descriptors, disk, networks.
#include <sys/resource.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "agent/cli/doctor/check.h"
#include "base/files.h"
#include "base/units.h"
#include "isolation/disk/project_quota.h"
#include "thermos/bridge.h"
#include "thermos/inotify_room.h"

namespace dewar {
namespace {

/// A number of /proc/meminfo, in bytes.
std::uint64_t memory_of(const std::string& text, const std::string& key) {
  const std::size_t at = text.find(key + ":");
  if (at == std::string::npos) return 0;
  const std::size_t digits = text.find_first_of("0123456789", at);
  std::uint64_t kibibytes = 0;
  if (digits != std::string::npos) std::from_chars(text.data() + digits, text.data() + text.size(), kibibytes);
  return kibibytes << 10;
}

Finding memory(const DoctorHost&) {
  const auto text = read_file("/proc/meminfo");
  if (!text) return degraded(text.error().message(), "mount /proc");
  const std::uint64_t available = memory_of(*text, "MemAvailable");
  const std::string words = format_bytes(available) + " available of " + format_bytes(memory_of(*text, "MemTotal")) +
                            ", " + format_bytes(memory_of(*text, "SwapTotal")) + " of swap";
  constexpr std::uint64_t kLittle = 64u << 20;
  return available > kLittle ? ok(words) : degraded(words, "stop something, or add memory");
}

Finding descriptors(const DoctorHost&) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const std::string words = std::to_string(limit.rlim_cur) + " at once, up to " + std::to_string(limit.rlim_max);
  constexpr rlim_t kFew = 4096;
  return limit.rlim_max >= kFew ? ok(words) : degraded(words, "raise it: ulimit -Hn, or LimitNOFILE= of the unit");
}

Finding watches(const DoctorHost&) {
  constexpr std::uint64_t kOfATask = 5;
  const auto instances = inotify_instances();
  if (!instances) return degraded(instances.error().message(), "mount /proc");
  const std::string words = std::to_string(*instances) + " inotify instances";
  if (*instances >= kInotifyInstances) return ok(words);
  const std::string wanted = std::to_string(kInotifyInstances);
  if (make_room_for_inotify_allowed()) return ok(words + ", which dewar run makes " + wanted);
  return degraded(words + ": enough for " + std::to_string(*instances / kOfATask) + " tasks at once",
                  "sysctl fs.inotify.max_user_instances=" + wanted);
}

Finding space(const DoctorHost& host) {
  struct statvfs info {};
  if (::statvfs(host.work_dir.c_str(), &info) != 0)
    return missing(fail_errno("look at " + host.work_dir).error.message(), "make it, or choose another --work-dir");
  const std::uint64_t bytes = info.f_bavail * info.f_frsize;
  const bool counts_inodes = info.f_files != 0;  // btrfs does not
  const std::string words = format_bytes(bytes) + " free in " + host.work_dir +
                            (counts_inodes ? ", " + std::to_string(info.f_favail) + " files" : "");
  if (bytes == 0 || (counts_inodes && info.f_favail == 0)) return missing(words, "free some space");
  constexpr std::uint64_t kLittle = 256u << 20;
  const bool little = bytes < kLittle || (counts_inodes && info.f_favail < 10000);
  return little ? degraded(words, "free some space") : ok(words);
}

Finding disk_limits(const DoctorHost& host) {
  const auto quota = ProjectQuota::check(host.work_dir);
  if (quota) return ok("held by project quota on the file system of " + host.work_dir);
  return degraded("counted, and the task is ended when it has too much: " + quota.error().context,
                  "put the work dir on ext4 or XFS mounted with prjquota");
}

Finding bridge(const DoctorHost&) {
  const auto network = find_bridge({});
  if (!network) return degraded(network.error().message(), "install containernetworking-plugins and iptables");
  std::string plugins;
  for (const CniPlugin& plugin : network->plugins)
    plugins += (plugins.empty() ? "" : ", ") + plugin.program.substr(plugin.program.rfind('/') + 1);
  return ok("network '" + network->name + "' by " + plugins);
}

constexpr std::array kChecks = {
    Check{"resources", "memory", memory},           Check{"resources", "descriptors", descriptors},
    Check{"resources", "watches", watches},         Check{"resources", "disk space", space},
    Check{"resources", "disk limits", disk_limits}, Check{"resources", "bridge", bridge},
};

}  // namespace

std::span<const Check> resource_checks() { return kChecks; }

}  // namespace dewar
