#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "isolation/cgroup/devices.h"
#include "isolation/cgroup/knobs.h"
#include "isolation/cgroup/layout.h"
#include "isolation/cgroup/sampler.h"
#include "isolation/sandbox_spec.h"
#include "isolation/usage.h"

namespace dewar {

/// Tells whenever the kernel has killed (or v1: wants to kill) something in a group for want of memory; on v2 also when
/// memory was only tight, so ask usage() how many were killed.
struct OomNotice {
  UniqueFd fd;  ///< v1: readable then; v2: changed then (POLLPRI)
  CgroupVersion version;
  void reset() const;
};

/// One cgroup in every hierarchy that counts for it: cgroup2, or cgroup v1's, or (hybrid) v1's for limits and cgroup2
/// for birth, cpu time, killing and emptiness. Knows its folders; the kernel keeps everything else, so a group can be
/// found again by its name after any restart. Nothing here talks to libcgroup: per launch plain files are quicker.
class Cgroup {
 public:
  /// The task's group, `<our group>/<name>`, made in every hierarchy of `layout` (cgroup2: with its controllers
  /// switched on for leaves). On an error nothing stays. Errors: EEXIST if one is there already, in any hierarchy;
  /// EINVAL for a name that is no plain file name.
  static Result<Cgroup> create(const CgroupLayout& layout, const std::string& name);
  /// The same group, made earlier, be it only in part (a maker may have died). Errors: ENOENT if it is nowhere.
  static Result<Cgroup> find(const CgroupLayout& layout, const std::string& name);

  /// A leaf below a task's group, for one attempt: only in the hierarchies that count per attempt (cgroup2, v1's memory
  /// and, where there is no cgroup2, cpuacct); in the others the attempt joins the task's group itself. Errors as
  /// above.
  /// One that is not `measured` is only where it is swept: to find a process again. (A memory group is what costs the
  /// kernel most of all that a task is made of.)
  Result<Cgroup> create_leaf(const std::string& name, bool measured = true) const;
  Result<Cgroup> find_leaf(const std::string& name) const;
  /// Names of the leaves there are.
  std::vector<std::string> leaves() const;

  /// All limits of a task, or none: what was written is taken back when a later one is refused. Also for a group that
  /// is in use; a memory limit below what is used is refused (EBUSY) and kills nobody.
  Result<void> set(const Limits& limits);
  /// The same for a group that was just made: what has no limit is as the kernel makes it, and not looked at.
  Result<void> set_first(const Limits& limits);
  /// The same for limits that were set already (as limits() has told them): what somebody has changed meanwhile, in
  /// words.
  Result<std::vector<std::string>> put_back(const Limits& limits);
  /// A file that holds a limit, and what it says.
  struct LimitFile {
    std::string path, content;
  };
  /// Those that hold `limits`, as they are now: whoever compares them later knows cheaply whether somebody has changed
  /// one. What has no limit is not among them.
  std::vector<LimitFile> limit_files(const Limits& limits) const;
  /// The limits as the kernel says they are, in `Limits`' units (0: none; the weight of a group that was never set is
  /// one core's).
  /// Of a group that was made with `made_with`, what has no limit there is not looked at.
  Result<Limits> limits(const Limits* made_with = nullptr) const;

  /// From now on only these devices can be opened or made by what lives here. For a task's new, empty group. Errors:
  /// ENOTSUP where there is neither v1's controller nor cgroup2.
  Result<void> allow_devices(const std::vector<DeviceGrant>& grants);

  /// The cgroup2 folder in which a process is born (CLONE_INTO_CGROUP), or empty.
  const std::string& unified() const { return unified_; }
  /// The cgroup v1 folders that a process joins, in this order, by writing "0" to `tasks` while it has one thread.
  std::vector<std::string> v1_folders() const;
  /// The folder, of either version, that holds just this group's processes: for cgroup.procs, cgroup.kill,
  /// cgroup.events.
  const std::string& sweep_folder() const;

  /// What a Sampler reads. A leaf has only some controllers' folders of its own, and in the others knows nothing.
  SampledGroup sampled() const;
  /// One look at everything. v1 counts an OOM kill only where the victim lived: there a task's `oom_kills` are those of
  /// the leaves that still exist, so read a leaf before removing it. `memory_peak_bytes` is what is used now on v2
  /// before Linux 5.19. Errors: ENOENT for a group that is gone.
  Result<Usage> usage() const;
  /// What is counted where it happens and not above: the sums over this group and its leaves.
  void add_uninherited(Usage& usage) const;
  /// How often the soft memory limit was met; v1 does not tell.
  std::int64_t soft_limit_hits() const;
  /// How often a huge page was refused, of any size.
  std::int64_t huge_pages_refused() const;
  /// A folder that this group should have and somebody has removed; or empty.
  std::string missing_folder() const;
  /// In how many hierarchies a process of this group is in a group of the task.
  int hierarchies() const;
  /// cgroup2: this group or one below was told to freeze. We never do that: somebody else has.
  bool is_frozen() const;
  /// Undoes it, so that a signal is acted on. True if there was something to undo.
  bool thaw() const;
  /// Sends `signal` to every process in this group and its leaves, each through a pidfd that is checked to be in the
  /// group. Returns how many got it.
  Result<int> signal_all(int signal) const;
  /// Kills all that live in this group and below, and waits, at most `timeout_ms`, until nothing does. Errors:
  /// ETIMEDOUT.
  Result<void> kill_all(int timeout_ms) const;
  /// No process in this group or below.
  Result<bool> empty() const;
  Result<OomNotice> watch_oom() const;
  /// Removes the group and its leaves from every hierarchy. Errors: EBUSY while something lives there. Safe to repeat.
  Result<void> remove();

 private:
  struct V1 {
    std::string controller, folder;
    bool own;  ///< the folder is this group's alone; a leaf borrows the task's where it has none
  };
  /// Where a controller has this group's knobs; `folder` is empty where this host has none.
  using Place = SampledGroup::Place;

  static Cgroup named(const CgroupLayout& layout, const std::string& name);
  Cgroup leaf(const std::string& name, bool measured = true) const;
  std::vector<std::string> own_folders() const;
  Result<void> make() const;
  Place place_of(std::string_view controller) const;
  Result<std::vector<std::string>> write_limits(const Limits& limits, bool first = false);

  std::string unified_;
  std::vector<std::string> v2_;  ///< controllers in cgroup2
  std::vector<V1> v1_;
  bool leaf_ = false;
};

}  // namespace dewar
