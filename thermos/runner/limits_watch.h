#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "thermos/limits_text.h"
#include "thermos/runner/watcher.h"

namespace dewar {

/// Keeps a running task's limits: writes down what they are, changes them on request, and looks every five seconds,
/// when the runner is awake for its sample, whether somebody else has changed, emptied, frozen or removed the task's
/// groups (the kernel tells nobody of it). What was changed is put back and told; a task whose group is gone is ended,
/// for nothing would limit it any more. Limits that somebody has added are seen once a minute.
class LimitsWatch final : public Watcher {
 public:
  explicit LimitsWatch(const WatchContext& context);
  /// Changes what `words` name (thermos/limits_text.h): all of it, or nothing.
  Result<void> change(const std::string& words);
  std::string text() const { return limits_text(limits_); }
  void run_ended(const std::string& process, const Usage& used) override;
  void each_second(const Usage& task) override;
  /// Once, if what was used tells of forks that the limit has refused.
  void tell_refused_forks(const Usage& used);

 private:
  bool somebody_changed() const;
  void put_back();
  void group_is_gone(const std::string& folder);
  void find_strays();
  void tell_if_frozen();
  void tell_refused_huge_pages();
  void tell(const std::string& words) { context_.tell({0, "limits", "", 0, words}); }

  WatchContext context_;
  Limits limits_;                                        ///< as the kernel said when they were last set
  std::optional<std::vector<Cgroup::LimitFile>> files_;  ///< nothing: not looked at since they were set
  int seconds_ = 0;
  std::set<pid_t> strays_;  ///< told already
  std::string trouble_;     ///< told already
  bool frozen_ = false, forks_told_ = false, huge_pages_told_ = false;
};

}  // namespace dewar
