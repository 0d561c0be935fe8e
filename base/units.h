// Sizes and times as people write and read them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace dewar {

/// "128MB" -> 134217728. Units B, KB, MB, GB, TB (also K, M, G, T and KiB…), powers of 1024 as in Thermos; a number
/// without a unit is bytes; fractions are allowed ("1.5GB"). Errors: words that quote `text`.
Result<std::uint64_t> parse_bytes(std::string_view text);

/// "30s" -> 30 s. Units ms, s, m, h, d; a number without a unit is seconds. Never negative.
Result<Duration> parse_duration(std::string_view text);

/// 134217728 -> "128.0 MB"; below 1024 -> "17 B".
std::string format_bytes(std::uint64_t bytes);

/// 1.5 s -> "1.5s", 90 s -> "1m30s", 3 ms -> "3ms".
std::string format_duration(Duration span);
/// The same of seconds that a damaged record may hold: less than nothing and no number are 0, the most are 10^9.
std::string format_seconds(double seconds);

/// Of the year 9999, where RFC 3339 ends: no clock tells more, in Unix seconds.
constexpr double kLastSecond = 253'402'300'799;
/// Unix seconds -> "2026-01-02T03:04:05.678901Z" (RFC 3339, UTC, microseconds).
std::string format_rfc3339(double unix_seconds);

}  // namespace dewar
