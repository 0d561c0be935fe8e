#include "agent/cli/limits_view.h"

#include <algorithm>
#include <cstdio>

#include "base/units.h"

namespace dewar {
namespace {

template <class T>
void number_or_null(JsonWriter& json, std::string_view name, T number) {
  number == T{} ? json.key(name).null() : json.field(name, number);
}

std::string cores(double number) {
  if (number <= 0) return "none";
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", number);
  return text;
}

std::string bytes(std::uint64_t number) { return number == 0 ? "none" : format_bytes(number); }
std::string whole(std::uint64_t number) { return number == 0 ? "none" : std::to_string(number); }
std::string rate(std::uint64_t number) { return number == 0 ? "none" : format_bytes(number) + "/s"; }

}  // namespace

void put_limits(JsonWriter& json, const Limits& limits) {
  json.key("limits").begin_object();
  number_or_null(json, "cpu", limits.cpu);
  number_or_null(json, "cpu_quota", limits.cpu_quota);
  limits.cpuset.empty() ? json.key("cpuset").null() : json.field("cpuset", limits.cpuset);
  number_or_null(json, "memory_bytes", limits.memory);
  number_or_null(json, "memory_soft_bytes", limits.memory_soft);
  json.field("swap_bytes", limits.swap);
  number_or_null(json, "pids", limits.pids);
  json.key("hugetlb_bytes").begin_object();
  for (const auto& [size, limit] : limits.hugetlb) number_or_null(json, size, limit);
  json.end_object();
  const IoLimits& io = limits.io;
  json.key("io").begin_object();
  number_or_null(json, "weight", io.weight);
  number_or_null(json, "read_bps", io.read_bps);
  number_or_null(json, "write_bps", io.write_bps);
  number_or_null(json, "read_iops", io.read_iops);
  number_or_null(json, "write_iops", io.write_iops);
  io.device.empty() ? json.key("device").null() : json.field("device", io.device);
  json.end_object();
}

std::vector<std::string> limits_lines(const Limits& limits) {
  std::vector<std::string> lines;
  const auto add = [&](std::string name, const std::string& value) {
    name.resize(std::max<std::size_t>(name.size(), 14), ' ');
    lines.push_back(name + value);
  };
  add("cpu", cores(limits.cpu));
  add("cpu quota", cores(limits.cpu_quota));
  add("cpuset", limits.cpuset.empty() ? "all" : limits.cpuset);
  add("ram", bytes(limits.memory));
  add("soft limit", bytes(limits.memory_soft));
  add("swap", limits.memory == 0 ? "none" : format_bytes(limits.swap));
  add("pids", whole(limits.pids));
  for (const auto& [size, limit] : limits.hugetlb) add("huge " + size, bytes(limit));
  add("io weight", whole(limits.io.weight));
  add("read", rate(limits.io.read_bps));
  add("write", rate(limits.io.write_bps));
  add("reads", limits.io.read_iops == 0 ? "none" : whole(limits.io.read_iops) + "/s");
  add("writes", limits.io.write_iops == 0 ? "none" : whole(limits.io.write_iops) + "/s");
  if (!limits.io.device.empty()) add("on disk", limits.io.device);
  return lines;
}

std::string limits_words(const Limits& limits) {
  constexpr std::uint32_t kUsualWeight = 100;
  std::string words;
  const auto add = [&](bool is_one, const std::string& text) {
    if (is_one) words += (words.empty() ? "" : ", ") + text;
  };
  const IoLimits& io = limits.io;
  add(limits.cpu > 0, "cpu " + cores(limits.cpu));
  add(limits.cpu_quota > 0, "cpu quota " + cores(limits.cpu_quota));
  add(!limits.cpuset.empty(), "cpuset " + limits.cpuset);
  add(limits.memory > 0, "ram " + bytes(limits.memory));
  add(limits.memory_soft > 0, "soft limit " + bytes(limits.memory_soft));
  add(limits.memory > 0, limits.swap > 0 ? "swap " + bytes(limits.swap) : "no swap");
  add(limits.pids > 0, "pids " + whole(limits.pids));
  for (const auto& [size, limit] : limits.hugetlb) add(limit > 0, "huge " + size + " " + bytes(limit));
  add(io.weight > 0 && io.weight != kUsualWeight, "io weight " + whole(io.weight));
  add(io.read_bps > 0, "read " + rate(io.read_bps));
  add(io.write_bps > 0, "write " + rate(io.write_bps));
  add(io.read_iops > 0, whole(io.read_iops) + " reads/s");
  add(io.write_iops > 0, whole(io.write_iops) + " writes/s");
  return words;
}

}  // namespace dewar
