#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "isolation/cgroup/sampler.h"
#include "thermos/runner/attempt.h"
#include "thermos/runner/watcher.h"
#include "thermos/usage_ring.h"

namespace dewar {

/// Measures the task and each of its living runs every second, on whole seconds since it began; keeps the history
/// (thermos/usage_ring.h); and tells those who watch. Its timer is the only one of an idle runner: whoever else looks
/// at something now and then does it in Watcher::each_second().
class UsageWatch {
 public:
  struct Hooks {
    std::function<bool()> watched;                    ///< somebody wants samples
    std::function<void(const SampleRecord&)> sample;  ///< tell them
    std::function<void(Usage&)> complete;             ///< the task's numbers that no cgroup tells
    std::function<void(const Usage& task)> each_second;
  };

  UsageWatch(const WatchContext& context, const std::string& boot_id, Hooks hooks);
  /// Takes the task's last sample.
  ~UsageWatch();

  void started(const Attempt& attempt);
  /// A run's final numbers. Call it once nothing lives in its leaf any more, and before that is removed.
  Usage ended(const Attempt& attempt);
  /// The whole task's numbers now.
  Usage task();
  /// Tells who has begun to watch what is known by now.
  void tell_all();

 private:
  using Key = std::pair<std::string, int>;

  /// One group, its history, and when it was last told of.
  struct Series {
    explicit Series(const SampledGroup& group) : sampler(group) {}
    Sampler sampler;
    std::unique_ptr<UsageRing> ring;
    Amount told_cpu_us;
    Time told{};
  };

  void tick();
  void open_ring(Series& series, const std::string& path);
  void keep(Series& series, const Usage& usage);
  void tell(const Key& key, Series& series, const Usage& usage);
  void complete(Usage& task) const;

  WatchContext context_;
  const std::string boot_id_;
  const Hooks hooks_;
  const Time begin_;
  std::int64_t ticks_ = 0;  ///< whole seconds since begin_
  Series task_;
  std::map<Key, Series> runs_;
  std::int64_t ended_refusals_ = 0;  ///< forks of runs that have ended
  EventLoop::TimerId timer_ = 0;
  bool trouble_told_ = false;
};

}  // namespace dewar
