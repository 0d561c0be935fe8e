#pragma once

#include <chrono>
#include <cstdint>

namespace dewar {

/// A span of time, in nanoseconds.
using Duration = std::chrono::nanoseconds;
/// A moment of the monotonic clock: for waiting and measuring, never for people.
using Time = std::chrono::time_point<std::chrono::steady_clock, Duration>;

/// Where the time comes from: the system, or a hand-turned clock in tests.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Time now() const = 0;
  /// Seconds since the Unix epoch, for records and people. May jump.
  virtual double wall() const = 0;
};

class SystemClock final : public Clock {
 public:
  Time now() const override { return std::chrono::steady_clock::now(); }
  double wall() const override {
    const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
    return static_cast<double>(std::chrono::duration_cast<std::chrono::microseconds>(since_epoch).count()) / 1e6;
  }
};

}  // namespace dewar
