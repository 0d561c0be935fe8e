#pragma once

#include "thermos/runner/watcher.h"

namespace dewar {

/// Makes room in a work dir that has a quota for its logs: when a run begins or ends, when output was lost, and every
/// ten seconds in between.
class LogKeeper final : public Watcher {
 public:
  explicit LogKeeper(const WatchContext& context);
  ~LogKeeper() override;
  void run_ended(const std::string& process, const Usage&) override;
  void output_lost() override;

 private:
  void collect();
  void wait();

  WatchContext context_;
  EventLoop::TimerId timer_ = 0;
};

}  // namespace dewar
