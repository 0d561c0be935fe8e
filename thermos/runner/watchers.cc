#include "thermos/runner/watchers.h"

#include "thermos/runner/port_watch.h"

namespace dewar {

std::vector<std::unique_ptr<Watcher>> make_watchers(const WatchContext& context) {
  std::vector<std::unique_ptr<Watcher>> watchers;
  const Network network = context.spec.sandbox.network;
  if (network == Network::kHost) watchers.push_back(std::make_unique<PortWatch>(context));
  if (network == Network::kBridge) tell_network(context);
  return watchers;
}

}  // namespace dewar
