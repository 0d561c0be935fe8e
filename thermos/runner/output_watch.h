#pragma once

#include "base/unique_fd.h"
#include "thermos/runner/watcher.h"

namespace dewar {

/// Looks after the quota for a task's output, if there is one: tells the first loss.
class OutputWatch final : public Watcher {
 public:
  explicit OutputWatch(const WatchContext& context);
  ~OutputWatch() override;

 private:
  void look();

  WatchContext context_;
  UniqueFd inotify_;
  bool told_ = false;
};

}  // namespace dewar
