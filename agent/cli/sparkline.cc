#include "agent/cli/sparkline.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace dewar {
namespace {

constexpr std::array kBars{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
constexpr std::array kAsciiBars{"_", ".", ":", "-", "=", "+", "*", "#"};
constexpr std::uint32_t kNowSeconds = 5;

/// The mean of what falls into each part of the time between the first and the last point.
class Parts {
 public:
  Parts(const UsageHistory& history, std::size_t columns) : sums_(columns), counts_(columns) {
    if (history.points.empty()) return;
    first_ = history.points.front().tick;
    spans_ = history.points.back().tick - first_ + 1;
  }
  void add(std::uint32_t tick, double value) {
    // A history shorter than the row fills only its end.
    const std::size_t columns = sums_.size(), behind = tick - first_;
    const std::size_t at = spans_ < columns ? columns - spans_ + behind : behind * columns / spans_;
    sums_[std::min(at, columns - 1)] += value;
    ++counts_[std::min(at, columns - 1)];
  }
  Series take() const {
    Series means(sums_.size());
    for (std::size_t i = 0; i < sums_.size(); ++i)
      if (counts_[i] > 0) means[i] = sums_[i] / counts_[i];
    return means;
  }

 private:
  std::uint32_t first_ = 0;
  std::size_t spans_ = 1;
  std::vector<double> sums_;
  std::vector<int> counts_;
};

/// Between two points; nothing across a gap, or where a counter began anew.
std::optional<double> rate_between(const UsagePoint& from, const UsagePoint& to, std::uint32_t seconds,
                                   Amount (*counter)(const Usage&)) {
  const Amount before = counter(from.usage), after = counter(to.usage);
  if (!before || !after || *after < *before || to.tick == from.tick) return {};
  return static_cast<double>(*after - *before) / (double(to.tick - from.tick) * seconds);
}

}  // namespace

std::string sparkline(const Series& values, double top, const Paint& paint) {
  for (const auto& value : values) top = std::max(top, value.value_or(0));
  const auto& bars = paint.utf8 ? kBars : kAsciiBars;
  std::string row;
  for (const auto& value : values) {
    const double part = top > 0 ? value.value_or(0) / top : 0;
    const auto bar = static_cast<std::size_t>(std::clamp(std::ceil(part * bars.size()) - 1, 0.0, bars.size() - 1.0));
    row += value ? bars[bar] : " ";
  }
  return row;
}

Series rate_series(const UsageHistory& history, Amount (*counter)(const Usage&), std::size_t columns) {
  Parts parts(history, columns);
  for (std::size_t i = 1; i < history.points.size(); ++i) {
    const UsagePoint &from = history.points[i - 1], &to = history.points[i];
    if (to.tick != from.tick + 1) continue;
    if (const auto rate = rate_between(from, to, history.seconds, counter)) parts.add(to.tick, *rate);
  }
  return parts.take();
}

Series gauge_series(const UsageHistory& history, Amount (*gauge)(const Usage&), std::size_t columns) {
  Parts parts(history, columns);
  for (const UsagePoint& point : history.points)
    if (const Amount value = gauge(point.usage)) parts.add(point.tick, static_cast<double>(*value));
  return parts.take();
}

std::optional<double> latest_rate(const UsageHistory& history, Amount (*counter)(const Usage&)) {
  const auto& points = history.points;
  if (points.size() < 2) return {};
  std::size_t from = points.size() - 2;
  while (from > 0 && points.back().tick - points[from - 1].tick <= kNowSeconds / std::max(history.seconds, 1u)) --from;
  return rate_between(points[from], points.back(), history.seconds, counter);
}

}  // namespace dewar
