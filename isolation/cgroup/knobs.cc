#include "isolation/cgroup/knobs.h"

#include <algorithm>
#include <cerrno>
#include <cmath>

#include "isolation/cgroup/stat.h"

namespace dewar {
namespace {

constexpr double kSharesPerCore = 1024;  // v1's default is one core's worth
constexpr double kWeightPerCore = 100;   // and so is v2's
constexpr std::int64_t kMinShares = 2, kMinWeight = 1, kMaxWeight = 10000;
constexpr double kPeriodUs = 100000;  // the kernel's default period, which we leave alone
constexpr std::int64_t kMinQuotaUs = 1000;

std::string number(double value) { return std::to_string(std::llround(value)); }

std::string or_max(std::uint64_t limit) { return limit == 0 ? "max" : std::to_string(limit); }
std::string or_minus_one(std::uint64_t limit) { return limit == 0 ? "-1" : std::to_string(limit); }

std::int64_t quota_us(const Limits& limits) {
  return std::max<std::int64_t>(std::llround(limits.cpu_quota * kPeriodUs), kMinQuotaUs);
}

/// v1 limits memory and swap together; without a memory limit there is nothing to add the swap to.
std::uint64_t memory_and_swap(const Limits& limits) { return limits.memory == 0 ? 0 : limits.memory + limits.swap; }

// The weight in v2 is 100 for each core, as Mesos has it for v2: like v1's 1024 it keeps the ratio between tasks, which
// is all that a weight is, and a task of one core weighs as much as a group that nobody has set. (Runtimes that must
// turn foreign v1 shares into v2 weights use curves between the two ranges, which bend the ratios.)
constexpr Knob kCpuWeight = {
    "weighing cpu",
    "cpu",
    [](const Limits& l) { return l.cpu > 0; },
    {"cpu.shares",
     [](const Limits& l) {
       return number(std::max(l.cpu > 0 ? l.cpu * kSharesPerCore : kSharesPerCore, double{kMinShares}));
     },
     [](std::string_view text, Limits& l) { l.cpu = double(parse_limit(text)) / kSharesPerCore; }},
    {"cpu.weight",
     [](const Limits& l) {
       const double weight = l.cpu > 0 ? l.cpu * kWeightPerCore : kWeightPerCore;
       return number(std::clamp(weight, double{kMinWeight}, double{kMaxWeight}));
     },
     [](std::string_view text, Limits& l) { l.cpu = double(parse_limit(text)) / kWeightPerCore; }}};

constexpr Knob kCpuQuota = {
    "limiting cpu",
    "cpu",
    [](const Limits& l) { return l.cpu_quota > 0; },
    {"cpu.cfs_quota_us",
     [](const Limits& l) { return l.cpu_quota > 0 ? std::to_string(quota_us(l)) : std::string("-1"); },
     [](std::string_view text, Limits& l) { l.cpu_quota = double(parse_limit(text)) / kPeriodUs; }},
    {"cpu.max",
     [](const Limits& l) {
       return (l.cpu_quota > 0 ? std::to_string(quota_us(l)) : std::string("max")) + " " + number(kPeriodUs);
     },
     [](std::string_view text, Limits& l) {
       l.cpu_quota = double(parse_limit(text.substr(0, text.find(' ')))) / kPeriodUs;
     }}};

constexpr Knob kMemory = {"limiting memory",
                          "memory",
                          [](const Limits& l) { return l.memory > 0; },
                          {"memory.limit_in_bytes", [](const Limits& l) { return or_minus_one(l.memory); },
                           [](std::string_view text, Limits& l) { l.memory = parse_limit(text); }},
                          {"memory.max", [](const Limits& l) { return or_max(l.memory); },
                           [](std::string_view text, Limits& l) { l.memory = parse_limit(text); }}};

// A kernel without swap accounting has no such file. That is an error only for a task that asks for some swap; one that
// asks for none runs all the same, as a host without accounting usually has no swap either.
constexpr Knob kSwap = {
    "limiting swap",
    "memory",
    [](const Limits& l) { return l.memory > 0 && l.swap > 0; },
    {"memory.memsw.limit_in_bytes", [](const Limits& l) { return or_minus_one(memory_and_swap(l)); },
     [](std::string_view text, Limits& l) {
       const std::uint64_t both = parse_limit(text);
       l.swap = both > l.memory ? both - l.memory : 0;
     }},
    {"memory.swap.max", [](const Limits& l) { return l.memory == 0 ? std::string("max") : std::to_string(l.swap); },
     [](std::string_view text, Limits& l) { l.swap = parse_limit(text); }}};

constexpr Knob kPids = {"limiting processes and threads",
                        "pids",
                        [](const Limits& l) { return l.pids > 0; },
                        {"pids.max", [](const Limits& l) { return or_max(l.pids); },
                         [](std::string_view text, Limits& l) { l.pids = parse_limit(text); }},
                        {"pids.max", [](const Limits& l) { return or_max(l.pids); },
                         [](std::string_view text, Limits& l) { l.pids = parse_limit(text); }}};

// v1 kills one process at a time; there the runner ends the rest when watch_oom() tells it.
constexpr Knob kOomGroup = {"killing the whole task when memory runs out",
                            "memory",
                            [](const Limits&) { return false; },
                            {nullptr, nullptr, nullptr},
                            {"memory.oom.group", [](const Limits& l) { return std::string(l.memory > 0 ? "1" : "0"); },
                             [](std::string_view, Limits&) {}}};

}  // namespace

const std::array<Knob, 6>& knobs() {
  static constexpr std::array<Knob, 6> kKnobs = {kCpuWeight, kCpuQuota, kMemory, kSwap, kPids, kOomGroup};
  return kKnobs;
}

std::string knob_advice(const Knob& knob, int error) {
  switch (error) {
    case ENOENT:
      return knob.v1.file == kSwap.v1.file
                 ? "this kernel does not account swap: boot it with swapaccount=1, or ask for none"
                 : "this kernel was built without it: leave the limit out";
    case EBUSY:
      return "more than that is in use already: choose a higher limit";
    case EINVAL:
      return "out of the kernel's range, or above what a group higher up allows";
    case EACCES:
    case EPERM:
    case EROFS:
      return "run as root, with the cgroup file systems mounted writable";
    default:
      return "";
  }
}

}  // namespace dewar
