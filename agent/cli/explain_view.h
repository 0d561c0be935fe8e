// An explanation for people, and for programs.
#pragma once

#include <string>
#include <vector>

#include "agent/cli/paint.h"
#include "thermos/explain/explain.h"

namespace dewar {

/// The sentence on a line of its own, however long; then the evidence, no line wider than `width` columns.
std::vector<std::string> explanation_lines(const Explanation& told, std::size_t width, const Paint& paint);

/// The object that `dewar explain -o json` prints (README, "Output for programs"), without a newline at its end.
std::string explanation_json(const Explanation& told);

/// A row of signs, one for each point, as high as the point is among them: "▁▃▆█". At most `columns`: neighbours are
/// put together then.
std::string sparkline(const std::vector<MemoryPoint>& points, std::size_t columns, const Paint& paint);

}  // namespace dewar
