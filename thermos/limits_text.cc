#include "thermos/limits_text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>

#include "base/cpu_list.h"
#include "base/files.h"

namespace dewar {
namespace {

constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max();
constexpr double kMostCores = 100'000;
constexpr std::uint64_t kMostPids = 4u << 20, kMostWeight = 10'000;  // the kernel's own
constexpr std::string_view kHugetlb = "hugetlb.";

struct RealField {
  std::string_view name;
  double Limits::*value;
};
constexpr RealField kReals[] = {{"cpu", &Limits::cpu}, {"cpu_quota", &Limits::cpu_quota}};

struct WholeField {
  std::string_view name;
  std::uint64_t Limits::*value;
  std::uint64_t most;
};
constexpr WholeField kWholes[] = {{"memory", &Limits::memory, kMost},
                                  {"memory_soft", &Limits::memory_soft, kMost},
                                  {"swap", &Limits::swap, kMost},
                                  {"pids", &Limits::pids, kMostPids}};

struct RateField {
  std::string_view name;
  std::uint64_t IoLimits::*value;
};
constexpr RateField kRates[] = {{"io.read_bps", &IoLimits::read_bps},
                                {"io.write_bps", &IoLimits::write_bps},
                                {"io.read_iops", &IoLimits::read_iops},
                                {"io.write_iops", &IoLimits::write_iops}};

bool read_whole(std::string_view text, std::uint64_t& out, std::uint64_t most) {
  std::uint64_t value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size() || value > most) return false;
  out = value;
  return true;
}

bool read_real(const std::string& text, double& out) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !std::isfinite(value) || value < 0 || value > kMostCores) return false;
  out = value;
  return true;
}

bool is_device(std::string_view text) {
  const std::size_t colon = text.find(':');
  std::uint64_t number = 0;
  return colon != std::string_view::npos && read_whole(text.substr(0, colon), number, kMost) &&
         read_whole(text.substr(colon + 1), number, kMost);
}

enum class Outcome { kRead, kUnknown, kWrong };

Outcome read_one(std::string_view name, const std::string& value, Limits& to) {
  const auto result = [](bool read) { return read ? Outcome::kRead : Outcome::kWrong; };
  if (const auto* real = std::ranges::find(kReals, name, &RealField::name); real != std::end(kReals))
    return result(read_real(value, to.*real->value));
  if (const auto* whole = std::ranges::find(kWholes, name, &WholeField::name); whole != std::end(kWholes))
    return result(read_whole(value, to.*whole->value, whole->most));
  if (const auto* rate = std::ranges::find(kRates, name, &RateField::name); rate != std::end(kRates))
    return result(read_whole(value, to.io.*rate->value, kMost));
  if (name == "io.weight") {
    std::uint64_t weight = 0;
    if (!read_whole(value, weight, kMostWeight)) return Outcome::kWrong;
    to.io.weight = static_cast<std::uint32_t>(weight);
    return Outcome::kRead;
  }
  if (name == "io.device" || name == "cpuset") {
    const bool fits = value.empty() || (name == "cpuset" ? !parse_cpu_list(value).empty() : is_device(value));
    if (fits) (name == "cpuset" ? to.cpuset : to.io.device) = value;
    return result(fits);
  }
  if (name.starts_with(kHugetlb) && name.size() > kHugetlb.size()) {
    const std::string size(name.substr(kHugetlb.size()));
    std::uint64_t limit = 0;
    const bool plain = std::ranges::all_of(size, [](unsigned char c) { return std::isalnum(c) != 0; });
    if (!plain || !read_whole(value, limit, kMost)) return Outcome::kWrong;
    to.hugetlb[size] = limit;
    return Outcome::kRead;
  }
  return Outcome::kUnknown;
}

std::string path_in(const std::string& run_folder) { return run_folder + "/limits"; }

}  // namespace

std::string limits_text(const Limits& limits) {
  std::string text;
  const auto add = [&](std::string_view name, const std::string& value) {
    text += (text.empty() ? "" : " ") + std::string(name) + "=" + value;
  };
  for (const RealField& field : kReals) {
    char number[32];
    std::snprintf(number, sizeof number, "%.10g", limits.*field.value);
    add(field.name, number);
  }
  add("cpuset", limits.cpuset);
  for (const WholeField& field : kWholes) add(field.name, std::to_string(limits.*field.value));
  for (const auto& [size, limit] : limits.hugetlb) add(std::string(kHugetlb) + size, std::to_string(limit));
  add("io.weight", std::to_string(limits.io.weight));
  for (const RateField& field : kRates) add(field.name, std::to_string(limits.io.*field.value));
  add("io.device", limits.io.device);
  return text;
}

Result<void> read_limits_text(std::string_view text, Limits& to) {
  Limits changed = to;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (word.empty()) continue;
    const std::size_t equals = word.find('=');
    const std::string_view name = word.substr(0, equals);
    const std::string value(equals == std::string_view::npos ? "" : word.substr(equals + 1));
    const Outcome outcome = equals == std::string_view::npos ? Outcome::kUnknown : read_one(name, value, changed);
    if (outcome == Outcome::kUnknown) return fail("there is no limit '" + std::string(name) + "'");
    if (outcome == Outcome::kWrong) return fail("'" + value + "' is no limit for '" + std::string(name) + "'");
  }
  to = std::move(changed);
  return {};
}

Result<Limits> read_limits(const std::string& run_folder) {
  constexpr std::size_t kMostText = 64 << 10;
  std::string text = DEWAR_TRY(read_file(path_in(run_folder), kMostText));
  if (!text.ends_with('\n')) return fail(path_in(run_folder) + " is damaged");
  text.pop_back();
  Limits limits;
  DEWAR_TRY(read_limits_text(text, limits).context(path_in(run_folder)));
  return limits;
}

Result<void> write_limits(const std::string& run_folder, const Limits& limits) {
  return replace_file(path_in(run_folder), limits_text(limits) + "\n", 0600);
}

}  // namespace dewar
