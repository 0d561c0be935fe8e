#include "agent/cli/moment.h"

#include <cstdio>
#include <ctime>
#include <optional>

#include "base/units.h"

namespace dewar {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

/// Reads by `format`, as strptime(3); what is left of `text`, or nothing if it does not fit.
std::optional<std::string_view> read(std::string_view text, const char* format, std::tm& into) {
  const std::string copy(text);
  const char* const end = ::strptime(copy.c_str(), format, &into);
  if (end == nullptr) return std::nullopt;
  return text.substr(static_cast<std::size_t>(end - copy.c_str()));
}

/// ".25" -> 250 ms; moves on behind it.
std::int64_t read_fraction(std::string_view& rest) {
  if (rest.empty() || rest[0] != '.') return 0;
  rest.remove_prefix(1);
  std::int64_t nanoseconds = 0, unit = kSecond;
  while (!rest.empty() && rest[0] >= '0' && rest[0] <= '9') {
    unit /= 10;
    nanoseconds += unit * (rest[0] - '0');
    rest.remove_prefix(1);
  }
  return nanoseconds;
}

/// Seconds east of Greenwich; nothing if it is no zone.
std::optional<int> read_zone(std::string_view zone) {
  if (zone == "Z" || zone == "z") return 0;
  int hours = 0, minutes = 0;
  char sign = 0;
  const std::string copy(zone);
  if (zone.size() != 6 || std::sscanf(copy.c_str(), "%c%2d:%2d", &sign, &hours, &minutes) != 3) return std::nullopt;
  if ((sign != '+' && sign != '-') || hours > 23 || minutes > 59) return std::nullopt;
  return (sign == '+' ? 1 : -1) * (hours * 3600 + minutes * 60);
}

std::optional<std::int64_t> read_date(std::string_view text) {
  std::tm time{};
  time.tm_isdst = -1;
  auto rest = read(text, "%Y-%m-%d", time);
  if (!rest) return std::nullopt;
  std::int64_t fraction = 0;
  if (!rest->empty()) {
    if ((*rest)[0] != 'T' && (*rest)[0] != ' ' && (*rest)[0] != 't') return std::nullopt;
    rest->remove_prefix(1);
    auto seconds = read(*rest, "%H:%M:%S", time);
    rest = seconds ? seconds : read(*rest, "%H:%M", time);
    if (!rest) return std::nullopt;
    fraction = read_fraction(*rest);
  }
  if (rest->empty()) return std::mktime(&time) * kSecond + fraction;
  const auto zone = read_zone(*rest);
  if (!zone) return std::nullopt;
  return (::timegm(&time) - *zone) * kSecond + fraction;
}

std::optional<std::int64_t> read_clock(std::string_view text, std::int64_t now) {
  const std::time_t seconds = now / kSecond;
  std::tm time{};
  ::localtime_r(&seconds, &time);
  time.tm_sec = 0;
  auto rest = read(text, "%H:%M:%S", time);
  if (!rest) rest = read(text, "%H:%M", time);
  if (!rest || !rest->empty()) return std::nullopt;
  time.tm_isdst = -1;
  std::time_t moment = std::mktime(&time);
  if (moment <= seconds) return moment * kSecond;
  --time.tm_mday;
  time.tm_isdst = -1;
  return std::mktime(&time) * kSecond;
}

}  // namespace

Result<std::int64_t> parse_moment(std::string_view text, std::int64_t now) {
  if (const auto date = read_date(text)) return *date;
  if (const auto clock = read_clock(text, now)) return *clock;
  const bool number = !text.empty() && text[0] >= '0' && text[0] <= '9';
  if (const auto ago = parse_duration(text); number && ago) return now - ago->count();
  return fail("'" + std::string(text) + "' is no time: use 10m (ago), 14:05, 2026-01-02 14:05 or 2026-01-02T14:05:00Z");
}

std::string format_moment(std::int64_t nanoseconds) {
  const std::int64_t below = ((nanoseconds % kSecond) + kSecond) % kSecond;
  const std::time_t seconds = (nanoseconds - below) / kSecond;
  std::tm time{};
  ::gmtime_r(&seconds, &time);
  char text[64];
  const std::size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &time);
  std::snprintf(text + size, sizeof text - size, ".%06dZ", static_cast<int>(below / 1000));
  return text;
}

std::string local_moment(std::int64_t nanoseconds) {
  const std::int64_t below = ((nanoseconds % kSecond) + kSecond) % kSecond;
  const std::time_t seconds = (nanoseconds - below) / kSecond;
  std::tm time{};
  ::localtime_r(&seconds, &time);
  char text[64];
  const std::size_t size = std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &time);
  std::snprintf(text + size, sizeof text - size, ".%03d", static_cast<int>(below / 1'000'000));
  return text;
}

}  // namespace dewar
