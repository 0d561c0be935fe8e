#include "thermos/runner/supervisors.h"

#include <fcntl.h>

#include <set>

#include "base/files.h"

namespace dewar {

Result<void> join_supervisors(const CgroupLayout& layout) {
  const auto join = [](const std::string& group, const char* knob) -> Result<void> {
    const std::string folder = group + "/supervisors";
    DEWAR_TRY(make_dirs(folder));
    return write_knob(DEWAR_TRY(open_file(folder, O_RDONLY | O_DIRECTORY)), knob, "0").context("join " + folder);
  };
  std::set<std::string> groups;  // controllers may be mounted together
  for (const auto& [controller, group] : layout.v1) groups.insert(group);
  // With one thread, writing to `tasks` is far cheaper than to cgroup.procs (no wait for an RCU grace period).
  for (const std::string& group : groups) DEWAR_TRY(join(group, "tasks"));
  if (!layout.unified.empty()) DEWAR_TRY(join(layout.unified, "cgroup.procs"));
  return {};
}

}  // namespace dewar
