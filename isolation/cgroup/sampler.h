#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "base/unique_fd.h"
#include "isolation/cgroup/knobs.h"
#include "isolation/usage.h"

namespace dewar {

/// Where a group's numbers are. An empty folder: the group has none of its own there, and they stay unknown.
struct SampledGroup {
  struct Place {
    CgroupVersion version = CgroupVersion::kV2;
    std::string folder = {};
  };
  std::string unified = {};  ///< cgroup2: CPU time, pressure, processes, threads
  std::string cpuacct = {};  ///< v1's CPU time, where there is no cgroup2
  Place cpu = {};            ///< what was throttled
  Place memory = {}, io = {}, pids = {};
  std::string members = {};  ///< holds just this group's processes, of either version
  std::string net_dev = {};  ///< /proc/<pid>/net/dev of a process in the group's own network
  bool leaf = false;         ///< below a task's group, which has the quota
};

/// Reads what one group has used, again and again, without allocating memory. CPU time and memory are read every time.
/// All else costs ten times as much, and changes only while the group runs: it is read when CPU time or memory have
/// changed, and when it is asked for. Files stay open from one look to the next: the first two always, the others while
/// the group runs, since each holds a page of the kernel's memory. A group may be removed meanwhile: then its last
/// numbers stand.
class Sampler {
 public:
  /// Opens what there is.
  explicit Sampler(const SampledGroup& group);

  enum class Depth {
    kUsual,    ///< all but processes and descriptors, if CPU time or memory have changed
    kMembers,  ///< these too, if anything has changed since they were looked at
    kWaiting,  ///< these too; and if nothing has changed, what the kernel does for a group that does not run
    kAll,      ///< whether anything has changed or not
  };
  /// What was used until now.
  const Usage& look(Depth depth = Depth::kUsual);
  const Usage& last() const { return usage_; }
  /// The last look found CPU time and memory as the one before.
  bool unchanged() const { return unchanged_; }

 private:
  /// What is read of a group that runs.
  enum File : std::uint8_t {
    kCpuSplit,
    kThrottling,
    kMemoryPeak,
    kMemoryKinds,
    kMemoryEvents,
    kIo,
    kIoOperations,
    kCpuPressure,
    kMemoryPressure,
    kIoPressure,
    kPids,
    kPidsPeak,
    kPidsEvents,
    kThreads,
    kProcesses,
    kFileCount
  };
  struct KeptFile {
    UniqueFd fd = {};
    bool tried = false;  ///< what is not there is not looked for each time
  };

  const UniqueFd& folder_of(File file) const;
  const char* name_of(File file) const;
  /// Calls `act` with each line of the file. False if there is none, or it cannot be read.
  template <class Act>
  bool lines(File file, Act act);
  /// What cannot be read leaves the value as it was.
  void read_amount(File file, Amount& value);

  void read_first();
  void read_cpu_split();
  void read_throttling();
  void read_memory();
  void read_io();
  bool sum_v1_io(File file, Amount& read, Amount& write);
  void read_pressure(File file, Amount& some, Amount& full);
  void read_members();
  void read_descriptors();
  void read_network();

  CgroupVersion cpu_version_, memory_version_, io_version_;
  bool leaf_;
  UniqueFd cpu_time_, memory_now_;                                   // read every time
  UniqueFd unified_, cpuacct_, cpu_, memory_, io_, pids_, members_;  // folders
  UniqueFd net_dev_;  // stays the same network's, whatever becomes of the process
  std::array<KeptFile, kFileCount> kept_;
  std::int64_t v1_cpu_ns_ = -1;
  Usage usage_;
  bool unchanged_ = false, ran_ = false;  // ran_: since the last look of kWaiting
  bool uncounted_ = false;                // it ran since its descriptors were counted
};

}  // namespace dewar
