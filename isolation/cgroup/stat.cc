#include "isolation/cgroup/stat.h"

#include <algorithm>
#include <charconv>

namespace dewar {
namespace {

template <class Do>
void each_line(std::string_view text, Do act) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    act(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

}  // namespace

std::int64_t parse_number(std::string_view text) {
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::uint64_t parse_limit(std::string_view text) {
  constexpr std::int64_t kNoLimit = std::int64_t{1} << 62;  // v1 shows the largest whole page below 2^63
  const std::int64_t value = parse_number(text);
  return value < 0 || value >= kNoLimit ? 0 : static_cast<std::uint64_t>(value);
}

std::int64_t parse_field(std::string_view text, std::string_view key) {
  std::int64_t value = 0;
  each_line(text, [&](std::string_view line) {
    if (line.size() > key.size() && line.starts_with(key) && line[key.size()] == ' ')
      value = parse_number(line.substr(key.size() + 1));
  });
  return value;
}

CpuTime split_cpu_time(std::int64_t total_us, std::int64_t user_ticks, std::int64_t system_ticks) {
  const double ticks = double(user_ticks) + double(system_ticks);
  if (ticks <= 0) return {total_us, 0};
  const auto system_us = static_cast<std::int64_t>(double(total_us) * double(system_ticks) / ticks);
  return {total_us - system_us, system_us};
}

}  // namespace dewar
