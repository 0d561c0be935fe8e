#pragma once

#include <cstdint>

namespace dewar {

/// What a cgroup (a run, or a whole task) has used; final and exact once nothing lives in it any more.
struct Usage {
  std::int64_t cpu_user_us = 0, cpu_system_us = 0;
  std::int64_t memory_bytes = 0;  ///< now
  std::int64_t memory_peak_bytes = 0;
  std::int64_t oom_kills = 0;
  std::int64_t pids = 0;  ///< processes and threads now
  /// Bytes that came in and went out; only of a whole task in a network of its own.
  std::int64_t net_rx_bytes = 0, net_tx_bytes = 0;
  std::int64_t throttled_periods = 0;  ///< of 100 ms each, in which the CPU quota was used up before the end
  std::int64_t throttled_us = 0;       ///< the time for which processors were held back, summed over processors
  std::int64_t forks_refused = 0;      ///< for want of pids
  friend bool operator==(const Usage&, const Usage&) = default;
};

}  // namespace dewar
