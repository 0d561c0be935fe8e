// What people are shown of a task beside its history.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "isolation/sandbox_spec.h"
#include "thermos/runner_spec.h"

namespace dewar {

struct ProcessView {
  std::string name;
  bool final = false;
  bool logged = true;  ///< its output goes to files
};

struct RunView {
  std::string task_id, name;
  std::string sandbox, log_folder;  ///< absolute
  std::map<std::string, std::int64_t> ports;
  Limits limits;
  DiskLimits disk = {};
  std::string disk_backend = {};       ///< what keeps the disk limit: "project quota", "counting"; empty: no limit
  bool asked = true;                   ///< the task file has `resources`; else these limits are the host's idea
  std::uint64_t descriptors = 0;       ///< that one process may hold open (RLIMIT_NOFILE); 0: not known
  std::vector<ProcessView> processes;  ///< in the order of the graph, final ones last
};

RunView view_of(const RunnerSpec& spec);

}  // namespace dewar
