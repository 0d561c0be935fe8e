#include "thermos/advice.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>

#include "base/units.h"

namespace dewar {
namespace {

constexpr double kLeastSeconds = 10;                    // of life, before less is advised
constexpr std::uint64_t kLeastWorthSaving = 64u << 20;  // bytes
constexpr double kFarOff = 4;                           // times what was used
constexpr double kNear = 0.95, kOften = 0.25, kStalled = 0.01;

double number(Amount amount) { return static_cast<double>(amount.value_or(0)); }
double seconds(Amount microseconds) { return number(microseconds) / 1e6; }
std::string size(double bytes) { return format_bytes(static_cast<std::uint64_t>(bytes)); }

std::string percent(double part) {
  char text[16];
  std::snprintf(text, sizeof text, "%.0f %%", std::min(part, 1.0) * 100);
  return text;
}

std::string short_number(double value) {
  char text[24];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

/// Half as much again, rounded up to a multiple of a power of two that is an eighth of it at most.
double roomy(double used, double least) {
  const double wanted = std::max(used * 1.5, least);
  const double step = std::exp2(std::floor(std::log2(wanted)) - 3);
  return std::ceil(wanted / step) * step;
}

// The rules. Each looks at one limit, and says nothing unless it has a reason.
using Words = std::optional<std::string>;

Words memory_killed(const Lived& l) {
  const std::int64_t kills = l.usage.oom_kills.value_or(0);
  if (kills == 0 || l.limits.memory == 0) return {};
  return "ram " + size(double(l.limits.memory)) + " was not enough, and the kernel killed " + std::to_string(kills) +
         (kills == 1 ? " process" : " processes") + ": try " + size(roomy(double(l.limits.memory), 0));
}

/// The peak counts page cache too, which fills any limit: only who has waited for memory has too little.
Words memory_tight(const Lived& l) {
  const double limit = double(l.limits.memory), waited = seconds(l.usage.memory_some_us);
  if (limit == 0 || l.usage.oom_kills > 0) return {};
  if (number(l.usage.memory_peak_bytes) < kNear * limit || waited < kStalled * l.wall_seconds) return {};
  return "ram " + size(limit) + " was full, and something waited for memory " + percent(waited / l.wall_seconds) +
         " of the time: try " + size(roomy(limit, 0));
}

Words memory_wide(const Lived& l) {
  const double limit = double(l.limits.memory), peak = number(l.usage.memory_peak_bytes);
  if (l.limits.memory < kLeastWorthSaving || peak == 0 || peak * kFarOff > limit) return {};
  return "ram " + size(limit) + " asked, " + size(peak) + " peak: " + size(roomy(peak, 16 << 20)) + " would do";
}

/// A period is a tenth of a second.
Words quota_tight(const Lived& l) {
  const double share = number(l.usage.throttled_periods) * 0.1 / std::max(l.wall_seconds, 0.1);
  if (l.limits.cpu_quota <= 0 || share < kOften) return {};
  return "cpu_quota " + short_number(l.limits.cpu_quota) + " held it back " + percent(share) +
         " of the time: raise it, or leave it out";
}

Words cpu_tight(const Lived& l) {
  const double share = seconds(l.usage.cpu_some_us) / std::max(l.wall_seconds, 0.1);
  if (share < 2 * kOften || quota_tight(l)) return {};
  return "something waited for a processor " + percent(share) +
         " of the time: the host was busy; a larger cpu gets a larger share";
}

Words cpu_wide(const Lived& l) {
  const double used = seconds(l.usage.cpu_us()) / std::max(l.wall_seconds, 0.1);
  if (l.limits.cpu < 1 || !l.usage.cpu_us() || used * kFarOff > l.limits.cpu) return {};
  return "cpu " + short_number(l.limits.cpu) + " asked, " + (used < 0.01 ? "less than 0.01" : short_number(used)) +
         " used on average";
}

Words pids_tight(const Lived& l) {
  const std::int64_t refused = l.usage.forks_refused.value_or(0);
  if (l.limits.pids == 0 || refused == 0) return {};
  return "pids " + std::to_string(l.limits.pids) + " were used up, and " + std::to_string(refused) +
         (refused == 1 ? " fork was" : " forks were") + " refused: try " +
         short_number(std::ceil(double(l.limits.pids) * 1.5));
}

Words disk_tight(const Lived& l) {
  const double used = number(l.usage.disk_bytes), limit = double(l.disk.bytes);
  if (limit == 0 || used < kNear * limit) return {};
  return "disk " + size(limit) + " is full with " + size(used) + ": try " + size(roomy(limit, 0));
}

Words descriptors_tight(const Lived& l) {
  const double held = number(l.usage.descriptors_peak);
  if (l.descriptors == 0 || held < kNear * double(l.descriptors)) return {};
  return "nofile " + std::to_string(l.descriptors) + ": a process held " +
         std::to_string(l.usage.descriptors_peak.value_or(0)) + " descriptors open: raise it";
}

Words disk_slow(const Lived& l) {
  const double share = seconds(l.usage.io_full_us) / std::max(l.wall_seconds, 0.1);
  if (share < kOften) return {};
  return "everything waited for a disk " + percent(share) + " of the time";
}

struct Rule {
  std::string_view limit;
  bool tight;
  Words (*look)(const Lived&);
};
constexpr Rule kRules[] = {
    {"ram", true, memory_killed}, {"ram", true, memory_tight}, {"cpu_quota", true, quota_tight},
    {"pids", true, pids_tight},   {"disk", true, disk_tight},  {"nofile", true, descriptors_tight},
    {"cpu", true, cpu_tight},     {"io", true, disk_slow},     {"ram", false, memory_wide},
    {"cpu", false, cpu_wide},
};

}  // namespace

std::vector<Advice> advise(const Lived& lived) {
  std::vector<Advice> all;
  for (const Rule& rule : kRules) {
    if (!rule.tight && (!lived.asked || lived.wall_seconds < kLeastSeconds)) continue;
    if (Words words = rule.look(lived)) all.push_back({rule.limit, rule.tight, *std::move(words)});
  }
  return all;
}

}  // namespace dewar
