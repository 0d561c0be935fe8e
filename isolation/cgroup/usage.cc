// What a cgroup has used, and the descriptor that tells when its memory ran out.
#include <fcntl.h>
#include <sys/eventfd.h>

#include "base/cgroup_members.h"
#include "base/files.h"
#include "isolation/cgroup/cgroup.h"
#include "isolation/cgroup/group_files.h"
#include "isolation/cgroup/stat.h"

namespace dewar {
namespace {

/// For counters that are not inherited: v1 counts an OOM kill only where the victim lived, and before Linux 6.11 a fork
/// is refused where the forker lives, not where the limit is.
std::int64_t sum_below(const std::string& folder, const std::string& file, std::string_view key) {
  const auto text = read_file(folder + "/" + file);
  std::int64_t sum = text ? parse_field(*text, key) : 0;
  for (const std::string& child : child_groups(folder)) sum += sum_below(folder + "/" + child, file, key);
  return sum;
}

Result<OomNotice> watch_v1(const std::string& folder) {
  UniqueFd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event) return fail_errno("make an eventfd");
  const UniqueFd control = DEWAR_TRY(open_file(folder + "/memory.oom_control", O_RDONLY));
  DEWAR_TRY(write_group_file(folder, "cgroup.event_control",
                             std::to_string(event.get()) + " " + std::to_string(control.get())));
  return OomNotice{std::move(event), CgroupVersion::kV1};
}

/// (Not inotify(7): to close it waits for a grace period, at the end of each task.)
Result<OomNotice> watch_v2(const std::string& folder) {
  OomNotice notice{DEWAR_TRY(open_file(folder + "/memory.events", O_RDONLY)), CgroupVersion::kV2};
  notice.reset();  // what has not been read yet counts as changed
  return notice;
}

}  // namespace

SampledGroup Cgroup::sampled() const {
  SampledGroup group;
  group.unified = unified_;
  if (unified_.empty()) group.cpuacct = place_of("cpuacct").folder;
  group.cpu = place_of("cpu");
  group.memory = place_of("memory");
  group.io = place_of("io");
  group.pids = place_of("pids");
  group.members = sweep_folder();
  group.leaf = leaf_;
  return group;
}

Result<Usage> Cgroup::usage() const {
  if (!exists(sweep_folder()))
    return fail(std::errc::no_such_file_or_directory, "read what cgroup " + sweep_folder() + " has used");
  Usage usage = Sampler(sampled()).look(Sampler::Depth::kAll);
  add_uninherited(usage);
  return usage;
}

void Cgroup::add_uninherited(Usage& usage) const {
  const Place memory = place_of("memory"), pids = place_of("pids");
  if (usage.oom_kills && memory.version == CgroupVersion::kV1)
    usage.oom_kills = sum_below(memory.folder, "memory.oom_control", "oom_kill");
  if (usage.forks_refused) usage.forks_refused = sum_below(pids.folder, "pids.events", "max");
}

void OomNotice::reset() const {
  char content[4096];
  if (version == CgroupVersion::kV2) {
    (void)!::pread(fd.get(), content, sizeof content, 0);
  } else {
    (void)!::read(fd.get(), content, sizeof content);
  }
}

Result<OomNotice> Cgroup::watch_oom() const {
  const Place place = place_of("memory");
  if (place.folder.empty())
    return fail(std::errc::not_supported, "watch for lack of memory: no memory controller here");
  return place.version == CgroupVersion::kV1 ? watch_v1(place.folder) : watch_v2(place.folder);
}

}  // namespace dewar
