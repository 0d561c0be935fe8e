#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>

#include "isolation/net/listeners.h"
#include "thermos/runner/watcher.h"

namespace dewar {

/// Tells of every port that a task in the host's network listens on and was not given, once, and when it no longer
/// does. Looks every 10 s, and a second or two after a process was started. A UDP port from the kernel's own range
/// (ip(7), ip_local_port_range) is a client's as far as anybody can see, and not told.
class PortWatch final : public Watcher {
 public:
  explicit PortWatch(const WatchContext& context);
  void run_started() override;
  void each_second(const Usage& task) override;

 private:
  struct Where {
    Transport transport;
    std::uint16_t port;
    std::string process;
    int run;
    friend bool operator<(const Where& a, const Where& b) {
      return std::tie(a.transport, a.port, a.process, a.run) < std::tie(b.transport, b.port, b.process, b.run);
    }
  };

  void look();
  Result<std::map<Where, Listener>> strangers() const;
  bool is_expected(const Listener& listener) const;

  const WatchContext context_;
  std::set<std::uint16_t> given_;
  std::pair<int, int> ephemeral_;  ///< first and last
  std::map<Where, Listener> told_;
  std::size_t count_ = 0;              ///< of all that were ever told
  int seconds_left_ = 0;               ///< to the next look
  bool blind_ = false, full_ = false;  ///< already told that nothing can be seen; that no more is told
};

/// Tells the address of a task in a network of its own, unless an earlier runner has, and what does not work there.
void tell_network(const WatchContext& context);

}  // namespace dewar
