#include "agent/cli/receipt.h"

#include <algorithm>
#include <cstdio>

#include "agent/cli/limits_view.h"
#include "agent/cli/usage_view.h"
#include "base/units.h"
#include "thermos/limits_text.h"

namespace dewar {
namespace {

std::string seconds_text(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", seconds);
  return text;
}

std::string bytes(Amount amount) { return format_bytes(static_cast<std::uint64_t>(amount.value_or(0))); }

}  // namespace

double lived_seconds(const TaskHistory& history, double now) {
  if (history.statuses.empty()) return 0;
  const double begun = static_cast<double>(history.statuses.front().timestamp_ms) / 1e3;
  const double ended = history.terminal() ? static_cast<double>(history.statuses.back().timestamp_ms) / 1e3 : now;
  return std::max(ended - begun, 0.0);
}

std::vector<Advice> advice_of(const RunView& view, const TaskHistory& history, double now) {
  Lived lived{.usage = history.usage,
              .wall_seconds = lived_seconds(history, now),
              .limits = view.limits,
              .disk = view.disk,
              .descriptors = view.descriptors,
              .asked = view.asked};
  if (!history.limits.empty()) (void)!read_limits_text(history.limits, lived.limits);
  for (const auto& [name, runs] : history.processes)
    for (const RunHistory& run : runs)
      lived.usage.descriptors_peak = std::max(lived.usage.descriptors_peak, run.usage.descriptors_peak);
  return advise(lived);
}

std::string receipt_text(const Usage& usage, double wall_seconds) {
  std::string text = seconds_text(seconds_of(usage.cpu_us())) + " CPU seconds in " + seconds_text(wall_seconds) +
                     " s, at most " + bytes(usage.memory_peak_bytes) + " of memory";
  const auto add = [&](bool there, const std::string& words) { text += there ? ", " + words : ""; };
  add(usage.oom_kills > 0, "killed " + std::to_string(usage.oom_kills.value_or(0)) +
                               (usage.oom_kills == 1 ? " time" : " times") + " for lack of memory");
  add(usage.throttled_us > 0, "held back " + seconds_text(seconds_of(usage.throttled_us)) + " s by its CPU quota");
  add(usage.memory_some_us > 10000, "waited " + seconds_text(seconds_of(usage.memory_some_us)) + " s for memory");
  add(usage.io_some_us > 10000, "waited " + seconds_text(seconds_of(usage.io_some_us)) + " s for disks");
  add(usage.forks_refused > 0, std::to_string(usage.forks_refused.value_or(0)) + " forks refused");
  add(usage.io_read_bytes > 0 || usage.io_write_bytes > 0,
      "read " + bytes(usage.io_read_bytes) + " and wrote " + bytes(usage.io_write_bytes));
  add(usage.net_rx_bytes > 0 || usage.net_tx_bytes > 0,
      "received " + bytes(usage.net_rx_bytes) + " and sent " + bytes(usage.net_tx_bytes));
  return text;
}

void put_receipt(JsonWriter& json, const Usage& usage, double wall_seconds) {
  json.key("usage").begin_object();
  wall_seconds < 0 ? json.key("wall_seconds").null() : json.field("wall_seconds", wall_seconds);
  usage.cpu_us() ? json.field("cpu_seconds", seconds_of(usage.cpu_us())) : json.key("cpu_seconds").null();
  put_usage(json, usage);
  json.end_object();
}

void put_lived_under(JsonWriter& json, const std::string& text) {
  Limits limits;
  if (text.empty() || !read_limits_text(text, limits)) {
    json.key("limits").null();
    return;
  }
  put_limits(json, limits);
  json.end_object();
}

void put_advice(JsonWriter& json, const std::vector<Advice>& advice) {
  json.key("advice").begin_array();
  for (const Advice& one : advice)
    json.begin_object().field("limit", one.limit).field("tight", one.tight).field("message", one.words).end_object();
  json.end_array();
}

}  // namespace dewar
