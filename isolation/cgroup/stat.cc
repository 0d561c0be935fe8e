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

CpuTime parse_cpu_stat(std::string_view cpu_stat) {
  return {parse_field(cpu_stat, "user_usec"), parse_field(cpu_stat, "system_usec")};
}

CpuTime parse_cpuacct(std::string_view usage, std::string_view stat) {
  const std::int64_t total_us = parse_number(usage) / 1000;
  const std::int64_t user = parse_field(stat, "user"), system = parse_field(stat, "system");
  if (user + system <= 0) return {total_us, 0};
  const auto system_us = static_cast<std::int64_t>(double(total_us) * double(system) / double(user + system));
  return {total_us - system_us, system_us};
}

}  // namespace dewar
