#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "isolation/cgroup/layout.h"
#include "isolation/sandbox_spec.h"
#include "isolation/usage.h"

namespace dewar {

/// One cgroup in every hierarchy that counts for it: cgroup2, or cgroup v1's, or (hybrid) v1's for limits and cgroup2
/// for birth, killing and emptiness. Knows its folders; the kernel keeps everything else, so a group can be found again
/// by its name after any restart. Nothing here talks to libcgroup: per launch we write through directory descriptors.
class Cgroup {
 public:
  /// The task's group, `<our group>/<name>`, made in every hierarchy of `layout` (cgroup2: with its controllers
  /// switched on for leaves). Errors: EEXIST if one is there already.
  static Result<Cgroup> create(const CgroupLayout& layout, const std::string& name);
  /// The same group, made earlier. Errors: ENOENT.
  static Result<Cgroup> find(const CgroupLayout& layout, const std::string& name);

  /// A leaf below a task's group, for one attempt: only in the hierarchies that count per attempt (cgroup2, cpuacct,
  /// memory); in the others the attempt joins the task's group itself.
  Result<Cgroup> create_leaf(const std::string& name) const;
  Result<Cgroup> find_leaf(const std::string& name) const;
  /// Names of the leaves there are.
  std::vector<std::string> leaves() const;

  /// All limits of a task, or none. Applied ones can be read back with limits().
  Result<void> set(const Limits& limits);
  /// The limits as the kernel says they are, in `Limits`' units (0: none).
  Result<Limits> limits() const;

  /// The cgroup2 folder in which a process is born (CLONE_INTO_CGROUP), or empty.
  const std::string& unified() const { return unified_; }
  /// The cgroup v1 folders that a process joins by writing "0" to `tasks` while it has one thread.
  std::vector<std::string> v1_folders() const;
  /// The folder, of either version, that holds just this group's processes: for cgroup.procs, cgroup.kill,
  /// cgroup.events.
  const std::string& sweep_folder() const;

  Result<Usage> usage() const;
  /// Sends `signal` to every process in this group and its leaves, each through a pidfd that is checked to be in the
  /// group. Returns how many got it.
  Result<int> signal_all(int signal) const;
  /// Kills all that live in this group and below, and waits, at most `timeout_ms`, until nothing does. Errors:
  /// ETIMEDOUT.
  Result<void> kill_all(int timeout_ms) const;
  /// No process in this group or below.
  Result<bool> empty() const;
  /// Readable whenever the kernel has killed (or v1: wants to kill) something here for want of memory.
  Result<UniqueFd> watch_oom() const;
  /// Removes the group and its leaves from every hierarchy. Errors: EBUSY while something lives there. Safe to repeat.
  Result<void> remove();

 private:
  struct V1 {
    std::string controller, folder;
    bool own;  ///< the folder is this group's alone; a leaf borrows the task's where it has none
  };
  std::string unified_;
  std::vector<std::string> v2_;  ///< controllers in cgroup2
  std::vector<V1> v1_;
};

}  // namespace dewar
