#include "isolation/cgroup/group_files.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>

#include "base/cgroup_members.h"
#include "base/files.h"

namespace dewar {

Result<void> write_group_file(const std::string& folder, const std::string& file, const std::string& text) {
  const std::string path = folder + "/" + file;
  const UniqueFd knob = DEWAR_TRY(open_file(path, O_WRONLY | O_NOFOLLOW));
  return write_once(knob.get(), text, path);
}

Result<void> inherit_cpuset(const std::string& folder) {
  const auto cores = read_file(folder + "/cpuset.cpus");
  if (!cores || cores->find_first_not_of('\n') != std::string::npos) return {};
  if (exists(folder + "/cgroup.events")) return {};  // in cgroup2 an empty list is the parent's
  for (const char* file : {"cpuset.cpus", "cpuset.mems"}) {
    const std::string parents = DEWAR_TRY(read_file(parent_of(folder) + "/" + file));
    DEWAR_TRY(write_group_file(folder, file, parents));
  }
  return {};
}

Result<void> remove_group(const std::string& folder) {
  if (::rmdir(folder.c_str()) == 0 || errno == ENOENT) return {};
  for (const std::string& child : child_groups(folder)) DEWAR_TRY(remove_group(folder + "/" + child));
  constexpr int kTries = 12;  // with the pauses below half a second
  for (int tried = 0;; ++tried) {
    if (::rmdir(folder.c_str()) == 0 || errno == ENOENT) return {};
    const Failure failure = fail_errno("remove cgroup " + folder);
    const auto lived_in = has_members(folder);
    if (failure.error.code.value() != EBUSY || tried == kTries || (lived_in && *lived_in)) return failure;
    ::poll(nullptr, 0, std::min(1 << tried, 64));
  }
}

}  // namespace dewar
