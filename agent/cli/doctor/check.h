// What `dewar doctor` looks at: one small function a line of its report. Each asks the code that does the thing in
// earnest, or tries the thing itself in a child; none changes the host.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "isolation/cgroup/host.h"

namespace dewar {

enum class Health : std::uint8_t {
  kOk,
  kDegraded,  ///< tasks run, but something that a task file may ask for is not to be had, or less is told
  kMissing,   ///< without it no task runs
};

struct Finding {
  Health health = Health::kOk;
  std::string found;      ///< what there is
  std::string mend = {};  ///< what to do about it; empty for kOk
};

/// What every check may look at; found once.
struct DoctorHost {
  std::string work_dir;  ///< whose file system is asked
  bool root = false;
  Result<HostCgroups> cgroups;
};

struct Check {
  const char* section;
  const char* name;
  Finding (*look)(const DoctorHost& host);
};

// In the order of the report.
std::span<const Check> host_checks();
std::span<const Check> cgroup_checks();
std::span<const Check> sandbox_checks();
std::span<const Check> resource_checks();

/// What was found by one check.
struct Checked {
  const char* section;
  const char* name;
  Finding finding;
};

/// All checks, one after the other. One thread only: some of them fork.
std::vector<Checked> examine(const DoctorHost& host);

inline Finding ok(std::string found) { return {Health::kOk, std::move(found)}; }
inline Finding degraded(std::string found, std::string mend) {
  return {Health::kDegraded, std::move(found), std::move(mend)};
}
inline Finding missing(std::string found, std::string mend) {
  return {Health::kMissing, std::move(found), std::move(mend)};
}

/// Does `attempt` in a child, whatever becomes of it there, and returns how it ended.
Result<void> try_in_child(const std::function<Result<void>()>& attempt);

/// What a trial's end means: `found` if it went well, else `worst` with the error and `mend`. For somebody who is not
/// root and may not try, nothing is said of the host.
Finding by_trial(const DoctorHost& host, const Result<void>& trial, std::string found, Health worst, std::string mend);

}  // namespace dewar
