// Reads what the kernel's cgroup files say. Pure: text in, numbers out; what is missing or odd counts as zero, since a
// sample must not fail for one line that an older kernel does not have.
#pragma once

#include <cstdint>
#include <string_view>

namespace dewar {

/// "4096\n" -> 4096.
std::int64_t parse_number(std::string_view text);

/// A limit in bytes, pids or microseconds; 0 for none: "max", -1, or what v1 shows for no limit (near 2^63).
std::uint64_t parse_limit(std::string_view text);

/// The number behind `key` in lines of "key number".
std::int64_t parse_field(std::string_view text, std::string_view key);

struct CpuTime {
  std::int64_t user_us = 0, system_us = 0;
};
/// v1 tells the exact time, and user's and system's part of it only in ticks of 10 ms.
CpuTime split_cpu_time(std::int64_t total_us, std::int64_t user_ticks, std::int64_t system_ticks);

}  // namespace dewar
