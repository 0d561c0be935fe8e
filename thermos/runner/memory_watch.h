#pragma once

#include <map>
#include <set>
#include <string>

#include "base/unique_fd.h"
#include "isolation/cgroup/oom_report.h"
#include "thermos/runner/watcher.h"

namespace dewar {

/// Ends the whole task when the kernel has ended one of its processes for want of memory, and says whom and who used
/// most. cgroup2 kills the whole group itself; v1 kills one process at a time, and there the rest is up to us.
class MemoryWatch final : public Watcher {
 public:
  explicit MemoryWatch(const WatchContext& context);
  ~MemoryWatch() override;

  void run_ended(const std::string& process, const Usage& used) override;
  void sandbox_ended() override { (void)end_task_if_killed(); }
  void complete(Usage& usage) const override;

 private:
  void notified();
  void look_again(int times_left);
  /// True once the kernel has killed here.
  bool end_task_if_killed();
  void tell_soft_limit();

  WatchContext context_;
  OomNotice oom_{};
  EventLoop::TimerId timer_ = 0;
  std::int64_t ended_kills_ = 0;         ///< in runs that have ended: v1 forgets them with the run's group
  std::set<std::string> ended_victims_;  ///< their processes
  bool told_ = false, soft_told_ = false;
};

/// What a person is told: `limit` in bytes, the processes (of the task file) in which the kernel killed, and its report
/// where there is one.
std::string oom_words(std::uint64_t limit, const std::set<std::string>& processes,
                      const std::optional<OomReport>& report);

/// The same for programs and for thermos/explain (docs/formats.md, "Evidence").
std::map<std::string, std::string> oom_details(std::uint64_t limit, const Usage& used,
                                               const std::optional<OomReport>& report);

}  // namespace dewar
