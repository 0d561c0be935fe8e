// What a task's limits should have been, by what it has used. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "isolation/sandbox_spec.h"
#include "isolation/usage.h"

namespace dewar {

/// A whole task: what it has used in how much time, and under which limits.
struct Lived {
  Usage usage;
  double wall_seconds = 0;
  Limits limits;
  DiskLimits disk = {};
  std::uint64_t descriptors = 0;  ///< that one process may hold (RLIMIT_NOFILE); 0: not known
  bool asked = true;              ///< the task named its resources; otherwise there is nothing to ask less of
};

struct Advice {
  std::string_view limit;  ///< which one: "ram", "cpu", "cpu_quota", "pids", "disk", "nofile", "io"
  bool tight = false;      ///< it hurt the task; otherwise the task would do with less
  std::string words;       ///< one line: "ram 4.0 GB asked, 310.0 MB peak: 512.0 MB would do"
  friend bool operator==(const Advice&, const Advice&) = default;
};

/// What hurt comes first. Nothing for limits that fit, and for numbers that are not known.
std::vector<Advice> advise(const Lived& lived);

}  // namespace dewar
