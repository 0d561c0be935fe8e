#include "thermos/runner/watchers.h"

#include <algorithm>

#include "thermos/runner/disk_watch.h"
#include "thermos/runner/fetch_watch.h"
#include "thermos/runner/health_watch.h"
#include "thermos/runner/log_keeper.h"
#include "thermos/runner/memory_watch.h"
#include "thermos/runner/port_watch.h"
#include "thermos/runner/time_watch.h"

namespace dewar {

std::vector<std::unique_ptr<Watcher>> make_watchers(const WatchContext& context) {
  std::vector<std::unique_ptr<Watcher>> watchers;
  watchers.push_back(std::make_unique<MemoryWatch>(context));
  const Network network = context.spec.sandbox.network;
  if (!context.spec.fetcher.empty()) watchers.push_back(std::make_unique<FetchWatch>(context));
  if (network == Network::kHost) watchers.push_back(std::make_unique<PortWatch>(context));
  if (context.spec.log_quota > 0) watchers.push_back(std::make_unique<LogKeeper>(context));
  if (auto disk = watch_disk(context)) watchers.push_back(std::move(disk));
  const auto limited = [](const ProcessSpec& process) { return process.time_limit > Duration{}; };
  if (context.spec.plan.time_limit > Duration{} || std::ranges::any_of(context.spec.plan.processes, limited))
    watchers.push_back(std::make_unique<TimeWatch>(context));
  if (context.spec.health) watchers.push_back(std::make_unique<HealthWatch>(context));
  return watchers;
}

}  // namespace dewar
