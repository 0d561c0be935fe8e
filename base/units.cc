#include "base/units.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <optional>

namespace dewar {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};

constexpr double kKilo = 1024;
constexpr Unit kByteUnits[] = {
    {"", 1},
    {"B", 1},
    {"KB", kKilo},
    {"K", kKilo},
    {"KiB", kKilo},
    {"MB", kKilo* kKilo},
    {"M", kKilo* kKilo},
    {"MiB", kKilo* kKilo},
    {"GB", kKilo* kKilo* kKilo},
    {"G", kKilo* kKilo* kKilo},
    {"GiB", kKilo* kKilo* kKilo},
    {"TB", kKilo* kKilo* kKilo* kKilo},
    {"T", kKilo* kKilo* kKilo* kKilo},
    {"TiB", kKilo* kKilo* kKilo* kKilo},
};
constexpr Unit kTimeUnits[] = {{"", 1e9}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}, {"d", 86400e9}};

/// Number and unit -> the product; nothing when it is not of that form or not in [0, 2^63).
template <std::size_t N>
std::optional<double> parse_with_unit(std::string_view text, const Unit (&units)[N]) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  for (const Unit& unit : units) {
    if (unit.name != text) continue;
    const double product = number * unit.factor;
    if (!(product >= 0) || product >= 9.2e18) return std::nullopt;
    return product;
  }
  return std::nullopt;
}

template <class... Args>
std::string format(const char* pattern, Args... args) {
  char buffer[64];
  const int size = std::snprintf(buffer, sizeof buffer, pattern, args...);
  return std::string(buffer, static_cast<std::size_t>(size));
}

}  // namespace

Result<std::uint64_t> parse_bytes(std::string_view text) {
  const auto bytes = parse_with_unit(text, kByteUnits);
  if (!bytes) return fail("'" + std::string(text) + "' is not a size; write it as 134217728, 128MB or 1.5GB");
  return static_cast<std::uint64_t>(std::llround(*bytes));
}

Result<Duration> parse_duration(std::string_view text) {
  const auto span = parse_with_unit(text, kTimeUnits);
  if (!span) return fail("'" + std::string(text) + "' is not a time span; write it as 30, 30s, 500ms, 5m or 2h");
  return Duration(std::llround(*span));
}

std::string format_bytes(std::uint64_t bytes) {
  if (bytes < 1024) return std::to_string(bytes) + " B";
  constexpr const char* kNames[] = {"KB", "MB", "GB", "TB", "PB", "EB"};
  double value = static_cast<double>(bytes) / kKilo;
  std::size_t unit = 0;
  while (value >= kKilo && unit + 1 < std::size(kNames)) value /= kKilo, ++unit;
  return format("%.1f %s", value, kNames[unit]);
}

std::string format_duration(Duration span) {
  const double seconds = static_cast<double>(span.count()) / 1e9;
  if (seconds < 1) return format("%.0fms", seconds * 1e3);
  if (seconds < 60) return format(seconds < 10 ? "%.1fs" : "%.0fs", seconds);
  const auto whole = static_cast<long long>(seconds);
  if (whole < 3600) return format("%lldm%02llds", whole / 60, whole % 60);
  if (whole < 86400) return format("%lldh%02lldm", whole / 3600, whole / 60 % 60);
  return format("%lldd%02lldh", whole / 86400, whole / 3600 % 24);
}

std::string format_seconds(double seconds) {
  constexpr double kMost = 1e9;
  const double sound = seconds >= 0 ? std::min(seconds, kMost) : 0;
  return format_duration(Duration(std::llround(sound * 1e9)));
}

std::string format_rfc3339(double unix_seconds) {
  unix_seconds = unix_seconds >= 0 ? std::min(unix_seconds, kLastSecond) : 0;
  auto whole = static_cast<std::time_t>(std::floor(unix_seconds));
  auto micros = std::llround((unix_seconds - static_cast<double>(whole)) * 1e6);
  if (micros == 1000000) ++whole, micros = 0;
  using namespace std::chrono;  // gmtime_r(3) reads the time zone's file first
  const sys_seconds time{seconds(whole)};
  const sys_days midnight = floor<days>(time);
  const year_month_day date(midnight);
  const hh_mm_ss clock(time - midnight);
  return format("%04d-%02u-%02uT%02d:%02d:%02d.%06lldZ", int(date.year()), unsigned(date.month()), unsigned(date.day()),
                int(clock.hours().count()), int(clock.minutes().count()), int(clock.seconds().count()), micros);
}

}  // namespace dewar
