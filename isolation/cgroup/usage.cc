// What a cgroup has used, and the descriptor that tells when its memory ran out.
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>

#include <algorithm>

#include "base/cgroup_members.h"
#include "base/files.h"
#include "isolation/cgroup/cgroup.h"
#include "isolation/cgroup/group_files.h"
#include "isolation/cgroup/stat.h"

namespace dewar {
namespace {

Result<std::int64_t> number_in(const std::string& folder, const std::string& file) {
  return parse_number(DEWAR_TRY(read_file(folder + "/" + file)));
}

/// For counters that are not inherited: v1 counts an OOM kill only where the victim lived, and before Linux 6.11 a fork
/// is refused where the forker lives, not where the limit is.
std::int64_t sum_below(const std::string& folder, const std::string& file, std::string_view key) {
  const auto text = read_file(folder + "/" + file);
  std::int64_t sum = text ? parse_field(*text, key) : 0;
  for (const std::string& child : child_groups(folder)) sum += sum_below(folder + "/" + child, file, key);
  return sum;
}

Result<UniqueFd> watch_v1(const std::string& folder) {
  UniqueFd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event) return fail_errno("make an eventfd");
  const UniqueFd control = DEWAR_TRY(open_file(folder + "/memory.oom_control", O_RDONLY));
  DEWAR_TRY(write_group_file(folder, "cgroup.event_control",
                             std::to_string(event.get()) + " " + std::to_string(control.get())));
  return event;
}

Result<UniqueFd> watch_v2(const std::string& folder) {
  UniqueFd notify(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!notify) return fail_errno("make an inotify descriptor");
  const std::string file = folder + "/memory.events";
  if (::inotify_add_watch(notify.get(), file.c_str(), IN_MODIFY) < 0) return fail_errno("watch " + file);
  return notify;
}

}  // namespace

Result<void> Cgroup::add_cpu(Usage& usage) const {
  CpuTime time;
  if (!unified_.empty()) {
    time = parse_cpu_stat(DEWAR_TRY(read_file(unified_ + "/cpu.stat")));
  } else if (const Place place = place_of("cpuacct"); !place.folder.empty()) {
    time = parse_cpuacct(DEWAR_TRY(read_file(place.folder + "/cpuacct.usage")),
                         DEWAR_TRY(read_file(place.folder + "/cpuacct.stat")));
  }
  usage.cpu_user_us = time.user_us;
  usage.cpu_system_us = time.system_us;
  // A quota is the whole task's: a leaf has none, and in v1 no folder of its own.
  const Place quota = place_of("cpu");
  const auto stat = quota.folder.empty() ? fail("") : read_file(quota.folder + "/cpu.stat");
  if (!stat) return {};
  usage.throttled_periods = parse_field(*stat, "nr_throttled");
  usage.throttled_us = quota.version == CgroupVersion::kV1 ? parse_field(*stat, "throttled_time") / 1000
                                                           : parse_field(*stat, "throttled_usec");
  return {};
}

Result<void> Cgroup::add_memory(Usage& usage) const {
  const Place place = place_of("memory");
  if (place.folder.empty()) return {};
  if (place.version == CgroupVersion::kV1) {
    usage.memory_bytes = DEWAR_TRY(number_in(place.folder, "memory.usage_in_bytes"));
    usage.memory_peak_bytes = DEWAR_TRY(number_in(place.folder, "memory.max_usage_in_bytes"));
    usage.oom_kills = sum_below(place.folder, "memory.oom_control", "oom_kill");
    return {};
  }
  usage.memory_bytes = DEWAR_TRY(number_in(place.folder, "memory.current"));
  const auto peak = number_in(place.folder, "memory.peak");
  usage.memory_peak_bytes = std::max(peak ? *peak : 0, usage.memory_bytes);
  usage.oom_kills = parse_field(DEWAR_TRY(read_file(place.folder + "/memory.events")), "oom_kill");
  return {};
}

Result<Usage> Cgroup::usage() const {
  Usage usage;
  DEWAR_TRY(add_cpu(usage));
  DEWAR_TRY(add_memory(usage));
  const Place pids = place_of("pids");
  if (pids.folder.empty()) {
    usage.pids = DEWAR_TRY(count_threads(sweep_folder()));
  } else {
    usage.pids = DEWAR_TRY(number_in(pids.folder, "pids.current"));
    usage.forks_refused = sum_below(pids.folder, "pids.events", "max");
  }
  return usage;
}

Result<UniqueFd> Cgroup::watch_oom() const {
  const Place place = place_of("memory");
  if (place.folder.empty())
    return fail(std::errc::not_supported, "watch for lack of memory: no memory controller here");
  return place.version == CgroupVersion::kV1 ? watch_v1(place.folder) : watch_v2(place.folder);
}

}  // namespace dewar
