// What the kernel writes into its log when it ends a process for want of memory: who asked, who lived in the group at
// that moment, whom it chose. Nothing else tells the sizes, since afterwards the processes are gone. The text is
// printk's and may change: whatever cannot be read is left out.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dewar {

struct OomProcess {
  pid_t pid = 0;
  std::string name;  ///< as prctl(2) PR_SET_NAME: the process's own choice
  std::uint64_t bytes = 0;
};

/// Whose limit was met. A group above the task's is one that holds other tasks too.
enum class OomLevel : std::uint8_t { kRun, kTask, kAbove, kHost };

struct OomReport {
  OomLevel level = OomLevel::kTask;
  OomProcess victim;                ///< bytes are 0 if the log does not list it
  std::string victim_group;         ///< as in /proc/<pid>/cgroup: "/dewar/<task>/web.0"
  std::vector<OomProcess> biggest;  ///< who used most, the biggest first; at most five
};

/// The last report in `log` (lines as read_kernel_log() gives them) about a group with the name `group` anywhere in its
/// path. Pages have `page_size` bytes.
std::optional<OomReport> find_oom_report(std::string_view log, std::string_view group, std::uint64_t page_size);

}  // namespace dewar
