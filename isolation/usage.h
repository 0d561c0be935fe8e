// What a cgroup (a run, or a whole task) has used, and a table of all these numbers, for whoever writes, reads or shows
// them one by one.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace dewar {

/// A number that this host may not tell for this group: nothing is not zero. Never negative.
using Amount = std::optional<std::int64_t>;

/// Final and exact once nothing lives in the group any more. docs/formats.md tells which is known where.
struct Usage {
  Amount cpu_user_us = {}, cpu_system_us = {};
  Amount memory_bytes = {};  ///< now, page cache included
  Amount memory_peak_bytes = {};
  Amount oom_kills = {};
  Amount pids = {};  ///< processes and threads now
  /// Bytes that came in and went out; only of a whole task in a network of its own.
  Amount net_rx_bytes = {}, net_tx_bytes = {};
  Amount throttled_periods = {};  ///< of 100 ms each, in which the CPU quota was used up before the end
  Amount throttled_us = {};       ///< the time for which processors were held back, summed over processors
  Amount forks_refused = {};      ///< for want of pids
  Amount memory_anon_bytes = {}, memory_file_bytes = {};  ///< now
  Amount working_set_bytes = {};                          ///< now: without page cache that has not been used for long
  Amount io_read_bytes = {}, io_write_bytes = {};
  Amount io_reads = {}, io_writes = {};  ///< operations
  Amount minor_faults = {}, major_faults = {};
  /// The time in which some, or all that had something to do, waited for it (PSI).
  Amount cpu_some_us = {}, cpu_full_us = {}, memory_some_us = {}, memory_full_us = {}, io_some_us = {}, io_full_us = {};
  Amount processes = {};                     ///< now
  Amount pids_peak = {};                     ///< of `pids`; where the kernel does not keep it: the most that was seen
  Amount descriptors_peak = {};              ///< the most that one process was seen to hold open
  Amount disk_bytes = {}, disk_inodes = {};  ///< now; only of a whole task whose disk is limited
  friend bool operator==(const Usage&, const Usage&) = default;

  /// User and system together; unknown if either is.
  Amount cpu_us() const { return cpu_user_us && cpu_system_us ? Amount(*cpu_user_us + *cpu_system_us) : std::nullopt; }
};

enum class UsageKind : std::uint8_t {
  kCounter,  ///< grows from 0
  kPeak,     ///< the most so far
  kGauge,    ///< now
};

struct UsageField {
  std::int16_t id;  ///< in records and in history slots: never given to another field
  UsageKind kind;
  std::string_view name;
  Amount Usage::*value;
};

/// Every number, in ascending order of ids, which begin at 1 and have no gap.
inline constexpr UsageField kUsageFields[] = {
    {1, UsageKind::kCounter, "cpu_user_us", &Usage::cpu_user_us},
    {2, UsageKind::kCounter, "cpu_system_us", &Usage::cpu_system_us},
    {3, UsageKind::kGauge, "memory_bytes", &Usage::memory_bytes},
    {4, UsageKind::kPeak, "memory_peak_bytes", &Usage::memory_peak_bytes},
    {5, UsageKind::kCounter, "oom_kills", &Usage::oom_kills},
    {6, UsageKind::kGauge, "pids", &Usage::pids},
    {7, UsageKind::kCounter, "net_rx_bytes", &Usage::net_rx_bytes},
    {8, UsageKind::kCounter, "net_tx_bytes", &Usage::net_tx_bytes},
    {9, UsageKind::kCounter, "throttled_periods", &Usage::throttled_periods},
    {10, UsageKind::kCounter, "throttled_us", &Usage::throttled_us},
    {11, UsageKind::kCounter, "forks_refused", &Usage::forks_refused},
    {12, UsageKind::kGauge, "memory_anon_bytes", &Usage::memory_anon_bytes},
    {13, UsageKind::kGauge, "memory_file_bytes", &Usage::memory_file_bytes},
    {14, UsageKind::kGauge, "working_set_bytes", &Usage::working_set_bytes},
    {15, UsageKind::kCounter, "io_read_bytes", &Usage::io_read_bytes},
    {16, UsageKind::kCounter, "io_write_bytes", &Usage::io_write_bytes},
    {17, UsageKind::kCounter, "io_reads", &Usage::io_reads},
    {18, UsageKind::kCounter, "io_writes", &Usage::io_writes},
    {19, UsageKind::kCounter, "minor_faults", &Usage::minor_faults},
    {20, UsageKind::kCounter, "major_faults", &Usage::major_faults},
    {21, UsageKind::kCounter, "cpu_some_us", &Usage::cpu_some_us},
    {22, UsageKind::kCounter, "cpu_full_us", &Usage::cpu_full_us},
    {23, UsageKind::kCounter, "memory_some_us", &Usage::memory_some_us},
    {24, UsageKind::kCounter, "memory_full_us", &Usage::memory_full_us},
    {25, UsageKind::kCounter, "io_some_us", &Usage::io_some_us},
    {26, UsageKind::kCounter, "io_full_us", &Usage::io_full_us},
    {27, UsageKind::kGauge, "processes", &Usage::processes},
    {28, UsageKind::kPeak, "pids_peak", &Usage::pids_peak},
    {29, UsageKind::kPeak, "descriptors_peak", &Usage::descriptors_peak},
    {30, UsageKind::kGauge, "disk_bytes", &Usage::disk_bytes},
    {31, UsageKind::kGauge, "disk_inodes", &Usage::disk_inodes},
};

}  // namespace dewar
