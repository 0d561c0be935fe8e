// A row of numbers as a row of bars, one column each.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/cli/paint.h"
#include "thermos/usage_ring.h"

namespace dewar {

using Series = std::vector<std::optional<double>>;  ///< oldest first; nothing where nothing was sampled

/// Bars from 0 to `top`, or to the greatest value if that is more. What is unknown is a blank.
std::string sparkline(const Series& values, double top, const Paint& paint);

/// What `counter` grew by per second, and what `gauge` was, in `columns` equal parts of the history's time.
Series rate_series(const UsageHistory& history, Amount (*counter)(const Usage&), std::size_t columns);
Series gauge_series(const UsageHistory& history, Amount (*gauge)(const Usage&), std::size_t columns);

/// The same over the last seconds: what goes on now.
std::optional<double> latest_rate(const UsageHistory& history, Amount (*counter)(const Usage&));

}  // namespace dewar
