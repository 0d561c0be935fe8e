// What a cgroup has used, and the descriptor that tells when its memory ran out.
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>

#include <algorithm>

#include "base/files.h"
#include "isolation/cgroup/cgroup.h"
#include "isolation/cgroup/members.h"
#include "isolation/cgroup/stat.h"

namespace dewar {
namespace {

Result<std::int64_t> number_in(const std::string& folder, const std::string& file) {
  return parse_number(DEWAR_TRY(read_file(folder + "/" + file)));
}

/// v1's counter is not inherited: a parent does not count its children's victims.
std::int64_t v1_oom_kills(const std::string& folder) {
  const auto text = read_file(folder + "/memory.oom_control");
  std::int64_t kills = text ? parse_field(*text, "oom_kill") : 0;
  for (const std::string& child : child_groups(folder)) kills += v1_oom_kills(folder + "/" + child);
  return kills;
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
  return {};
}

Result<void> Cgroup::add_memory(Usage& usage) const {
  const Place place = place_of("memory");
  if (place.folder.empty()) return {};
  if (place.version == CgroupVersion::kV1) {
    usage.memory_bytes = DEWAR_TRY(number_in(place.folder, "memory.usage_in_bytes"));
    usage.memory_peak_bytes = DEWAR_TRY(number_in(place.folder, "memory.max_usage_in_bytes"));
    usage.oom_kills = v1_oom_kills(place.folder);
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
