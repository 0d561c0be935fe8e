#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace dewar {

/// A moment as people type it, as Unix nanoseconds: "10m" (so long before `now`), "14:05" or "14:05:30" (the last time
/// that it was so late here), "2026-01-02", "2026-01-02 14:05[:30]" (here), RFC 3339 with a zone. Errors: words that
/// quote `text` and say what would be right.
Result<std::int64_t> parse_moment(std::string_view text, std::int64_t now);

/// 2026-01-02T03:04:05.678901Z: RFC 3339, UTC, microseconds.
std::string format_moment(std::int64_t nanoseconds);
/// 2026-01-02 03:04:05.678, local time.
std::string local_moment(std::int64_t nanoseconds);

}  // namespace dewar
