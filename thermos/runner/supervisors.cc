#include "thermos/runner/supervisors.h"

#include <fcntl.h>

#include <algorithm>
#include <set>

#include "base/files.h"
#include "isolation/cgroup/group_files.h"

namespace dewar {
namespace {

constexpr char kScore[] = "-999";       // one above never: whoever leaks as one of us can still be stopped
constexpr char kMemory[] = "67108864";  // some MiB for each of a few dozen tasks

}  // namespace

Result<void> join_supervisors(const CgroupLayout& layout) {
  const auto join = [](const std::string& group, const char* knob) -> Result<void> {
    const std::string folder = group + "/supervisors";
    DEWAR_TRY(make_dirs(folder));
    DEWAR_TRY(inherit_cpuset(folder));
    return write_knob(DEWAR_TRY(open_file(folder, O_RDONLY | O_DIRECTORY)), knob, "0").context("join " + folder);
  };
  std::set<std::string> groups;  // controllers may be mounted together
  for (const auto& [controller, group] : layout.v1) groups.insert(group);
  // With one thread, writing to `tasks` is far cheaper than to cgroup.procs (no wait for an RCU grace period).
  for (const std::string& group : groups) DEWAR_TRY(join(group, "tasks"));
  if (!layout.unified.empty()) DEWAR_TRY(join(layout.unified, "cgroup.procs"));
  return {};
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
  for (const char* group : {"", "/supervisors"}) write(layout.unified + group + "/memory.min", kMemory);
  return refused;
}

}  // namespace dewar
