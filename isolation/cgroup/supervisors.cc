#include "isolation/cgroup/supervisors.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "base/files.h"
#include "isolation/cgroup/group_files.h"

namespace dewar {
namespace {

constexpr char kName[] = "/supervisors";
constexpr char kScore[] = "-999";       // one above never: whoever leaks as one of us can still be stopped
constexpr char kMemory[] = "67108864";  // some MiB for each of a few dozen tasks

Result<void> make_v1_group(const std::string& folder) {
  if (::mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST) return fail_errno("make cgroup " + folder);
  return inherit_cpuset(folder);
}

/// Whether we are in the group already: the path that the kernel tells is the end of the folder's, which has the
/// mount's before it.
bool was_born_in(const std::string& unified) {
  const auto own = read_file("/proc/self/cgroup");
  if (!own) return false;
  const std::size_t at = own->find("0::");
  const std::string path = at == std::string::npos ? "" : own->substr(at + 3, own->find('\n', at) - at - 3);
  return path.size() > 1 && (unified + kName).ends_with(path);
}

}  // namespace

Result<UniqueFd> open_supervisors(const CgroupLayout& layout) {
  const std::string folder = layout.unified + kName;
  if (auto group = open_file(folder, O_PATH | O_DIRECTORY)) return group;
  if (::mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST) return fail_errno("make cgroup " + folder);
  return open_file(folder, O_PATH | O_DIRECTORY);
}

Result<void> join_supervisors(const CgroupLayout& layout) {
  std::set<std::string> groups;  // controllers may be mounted together
  for (const auto& [controller, group] : layout.v1) groups.insert(group);
  // With one thread, writing to `tasks` is far cheaper than to cgroup.procs (no wait for an RCU grace period).
  for (const std::string& group : groups) {
    if (write_group_file(group + kName, "tasks", "0")) continue;  // all but the first runner on a host
    DEWAR_TRY(make_v1_group(group + kName));
    DEWAR_TRY(write_group_file(group + kName, "tasks", "0"));
  }
  if (layout.unified.empty() || was_born_in(layout.unified)) return {};
  DEWAR_TRY(open_supervisors(layout));
  return write_group_file(layout.unified + kName, "cgroup.procs", "0");
}

std::string protect_supervisors(const CgroupLayout& layout) {
  std::string refused;
  const auto write = [&](const std::string& file, const char* text) {
    const auto fd = open_file(file, O_WRONLY);
    const auto written = fd ? write_all(fd->get(), text, file) : Result<void>(Failure{fd.error()});
    if (!written) refused += (refused.empty() ? "" : "; ") + written.error().message();
  };
  write("/proc/self/oom_score_adj", kScore);
  if (std::ranges::find(layout.v2, "memory") == layout.v2.end()) return refused;
  // Memory is protected only as far as every group above is: ours has to promise it, too.
  for (const char* group : {"", kName}) write(layout.unified + group + "/memory.min", kMemory);
  return refused;
}

}  // namespace dewar
