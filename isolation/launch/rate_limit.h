#pragma once

#include <algorithm>
#include <cstdint>

#include "base/clock.h"

namespace dewar {

/// How much may pass: `rate` bytes per second, and what was not used of the last second. 0: everything.
class RateLimit {
 public:
  explicit RateLimit(std::uint64_t rate) : rate_(static_cast<double>(rate)), left_(rate_) {}

  bool limits() const { return rate_ > 0; }
  /// Whole bytes that may pass now. Once none may, it takes a 20th of a second until some do: one piece is better than
  /// many small ones.
  std::uint64_t left(Time now) {
    if (last_ != Time{}) left_ = std::min(rate_, left_ + rate_ * std::chrono::duration<double>(now - last_).count());
    last_ = now;
    if (left_ < 1) empty_ = true;
    if (empty_ && left_ < std::max(1.0, rate_ / 20)) return 0;
    empty_ = false;
    return static_cast<std::uint64_t>(left_);
  }
  void take(std::uint64_t bytes) { left_ -= static_cast<double>(bytes); }
  /// Until left() is not 0, if it is now.
  Duration wait() const {
    const double missing = std::max(1.0, rate_ / 20) - left_;
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(std::max(0.0, missing) / rate_));
  }

 private:
  double rate_, left_;
  Time last_{};
  bool empty_ = false;
};

}  // namespace dewar
