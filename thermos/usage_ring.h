// The history of what a run, or a whole task, has used: three rings of fixed-size slots in one sparse file,
// `<run>/usage/<process>.<n>` and `<run>/usage/task`. A slot's place follows from its time and nothing else is ever
// changed, so whoever writes may be killed at any moment: a slot that was cut has a wrong checksum and is unknown, all
// others are good. docs/formats.md has the bytes.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "isolation/usage.h"

namespace dewar {

/// One of the three rings of a file.
struct UsageRingShape {
  std::uint32_t seconds;  ///< that a slot stands for
  std::uint32_t slots;
  std::uint32_t slot_size;
  std::uint32_t offset;  ///< of the first slot in the file
};
inline constexpr std::uint32_t kUsageHeaderSize = 64, kSecondSlotSize = 272, kWindowSlotSize = 320;
inline constexpr UsageRingShape kSecondRing{1, 600, kSecondSlotSize, kUsageHeaderSize};
inline constexpr UsageRingShape kTenSecondRing{10, 2160, kWindowSlotSize,
                                               kSecondRing.offset + kSecondRing.slots* kSecondRing.slot_size};
inline constexpr UsageRingShape kMinuteRing{60, 10080, kWindowSlotSize,
                                            kTenSecondRing.offset + kTenSecondRing.slots* kTenSecondRing.slot_size};
inline constexpr std::uint32_t kUsageFileSize = kMinuteRing.offset + kMinuteRing.slots * kMinuteRing.slot_size;

/// What was used by the end of a span of time. Counters and peaks are as they stood then, so a rate is the difference
/// between two points; of what goes up and down `usage` has the mean over the span.
struct UsagePoint {
  std::uint32_t tick = 0;     ///< spans since the history began: one that is missing was not sampled
  double time = 0;            ///< of the last sample in it, Unix seconds
  std::uint32_t samples = 0;  ///< seconds of the span that were sampled
  Usage usage;
  Amount memory_min = {}, memory_max = {}, working_set_min = {}, working_set_max = {}, pids_min = {}, pids_max = {};
  friend bool operator==(const UsagePoint&, const UsagePoint&) = default;
};

/// Writes one file.
class UsageRing {
 public:
  /// Makes the file, or goes on with one that an earlier writer has left, even before a reboot. One that is damaged at
  /// its beginning is set aside as `<path>.damaged`.
  static Result<UsageRing> open(const std::string& path, const Clock& clock, const std::string& boot_id);

  /// Takes a sample; what has passed without one since the last stays a gap. Samples that are the same as the one
  /// before are written together, once a minute or before the next other one. Errors: of pwrite(2); the sample is lost.
  Result<void> add(const Clock& clock, const Usage& usage);
  /// Writes what is held back, and the spans that are not over yet. Call it with the last sample.
  Result<void> flush();

 private:
  static constexpr std::size_t kValues = std::size(kUsageFields);
  using Values = std::array<std::int64_t, kValues>;  ///< -1: unknown

  static constexpr std::size_t kGauges = static_cast<std::size_t>(
      std::ranges::count(kUsageFields, UsageKind::kGauge, &UsageField::kind));  ///< what goes up and down

  /// A span of ten seconds, or of a minute, that is not over yet.
  struct Window {
    const UsageRingShape* shape;
    std::uint32_t tick = 0, samples = 0;
    std::int64_t time_us = 0;
    bool same = true;    ///< every sample is as the one before it
    bool steady = true;  ///< every sample is as the first one
    Values last{};
    struct Gauge {
      std::int64_t sum = 0, count = 0, least = 0, most = 0;
    };
    std::array<Gauge, kGauges> gauges{};
  };

  UsageRing(UniqueFd file, Time base) : file_(std::move(file)), base_(base) {}
  void take_up(std::string_view seconds);
  Result<void> write_second(std::uint32_t tick, std::int64_t time_us, const Values& values, std::uint32_t held);
  Result<void> write_window(const Window& window, std::uint32_t held = 0) const;
  Result<void> end_ten(std::uint32_t next);
  Result<void> count(std::uint32_t tick, std::int64_t time_us, const Values& values, bool same);
  static void count_in(Window& window, std::int64_t time_us, const Values& values, bool same);
  Result<void> write_held();

  UniqueFd file_;
  Time base_;
  bool any_ = false;
  std::uint32_t written_ = 0, seen_ = 0;  ///< ticks of the last slot and of the last sample
  std::int64_t seen_us_ = 0;
  Values values_{};
  Window ten_{&kTenSecondRing}, minute_{&kMinuteRing};
  std::uint32_t tens_held_ = 0;     ///< tens before the one that goes on that have no slot yet
  bool ten_before_steady_ = false;  ///< the slot before them is whole, and of samples that are all the same
};

/// The points of one ring in order of time, from the bytes of its slots. Takes any bytes. Pure.
std::vector<UsagePoint> decode_usage_ring(const UsageRingShape& shape, std::string_view slots);

/// The points of one ring of a file. Errors: of open(2) and read(2); EBADMSG for a file that is no history.
Result<std::vector<UsagePoint>> read_usage_ring(const std::string& path, const UsageRingShape& shape);

/// The last `span` before the newest sample, in the finest ring that reaches back so far; the end of it, which a
/// coarser ring does not have yet, from the finer ones. Errors: as above.
struct UsageHistory {
  std::uint32_t seconds = 1;  ///< between two points
  std::vector<UsagePoint> points;
};
Result<UsageHistory> read_usage_history(const std::string& path, Duration span);

/// Where a run's history is, and the whole task's.
std::string usage_file(const std::string& run_folder, const std::string& process, int run);
std::string usage_file(const std::string& run_folder);

}  // namespace dewar
