#include "isolation/cgroup/knobs.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>

#include "base/cpu_list.h"
#include "isolation/cgroup/stat.h"

namespace dewar {
namespace {

constexpr double kSharesPerCore = 1024;  // v1's default is one core's worth
constexpr double kWeightPerCore = 100;   // and so is v2's
constexpr std::int64_t kMinShares = 2, kMinWeight = 1, kMaxWeight = 10000;
constexpr double kPeriodUs = 100000;  // the kernel's default period
constexpr std::int64_t kMinQuotaUs = 1000;
constexpr std::uint32_t kUsualIoWeight = 100, kMaxBfqWeight = 1000;

std::string number(double value) { return std::to_string(std::llround(value)); }

std::string or_max(std::uint64_t limit) { return limit == 0 ? "max" : std::to_string(limit); }
std::string or_minus_one(std::uint64_t limit) { return limit == 0 ? "-1" : std::to_string(limit); }

std::int64_t quota_us(const Limits& limits) {
  return std::max<std::int64_t>(std::llround(limits.cpu_quota * kPeriodUs), kMinQuotaUs);
}

/// v1 limits memory and swap together; without a memory limit there is nothing to add the swap to.
std::uint64_t memory_and_swap(const Limits& limits) { return limits.memory == 0 ? 0 : limits.memory + limits.swap; }

constexpr auto kNeverWanted = [](const Limits&, KnobKey) { return false; };
constexpr auto kReadNothing = [](std::string_view, Limits&, KnobKey) {};
constexpr KnobForm kNoForm = {nullptr, nullptr, nullptr};

// ---- cpu

// The weight in v2 is 100 for each core, as Mesos has it for v2: like v1's 1024 it keeps the ratio between tasks, which
// is all that a weight is, and a task of one core weighs as much as a group that nobody has set. (Runtimes that must
// turn foreign v1 shares into v2 weights use curves between the two ranges, which bend the ratios.)
constexpr Knob kCpuWeight = {
    "weighing cpu",
    "cpu",
    [](const Limits& l, KnobKey) { return l.cpu > 0; },
    {"cpu.shares",
     [](const Limits& l, KnobKey) {
       return number(std::max(l.cpu > 0 ? l.cpu * kSharesPerCore : kSharesPerCore, double{kMinShares}));
     },
     [](std::string_view text, Limits& l, KnobKey) { l.cpu = double(parse_limit(text)) / kSharesPerCore; }},
    {"cpu.weight",
     [](const Limits& l, KnobKey) {
       const double weight = l.cpu > 0 ? l.cpu * kWeightPerCore : kWeightPerCore;
       return number(std::clamp(weight, double{kMinWeight}, double{kMaxWeight}));
     },
     [](std::string_view text, Limits& l, KnobKey) { l.cpu = double(parse_limit(text)) / kWeightPerCore; }}};

// v2 has period and quota in one file.
constexpr Knob kCpuPeriod = {
    "limiting cpu",
    "cpu",
    kNeverWanted,
    {"cpu.cfs_period_us", [](const Limits&, KnobKey) { return number(kPeriodUs); }, kReadNothing},
    kNoForm};

constexpr Knob kCpuQuota = {
    "limiting cpu",
    "cpu",
    [](const Limits& l, KnobKey) { return l.cpu_quota > 0; },
    {"cpu.cfs_quota_us",
     [](const Limits& l, KnobKey) { return l.cpu_quota > 0 ? std::to_string(quota_us(l)) : std::string("-1"); },
     [](std::string_view text, Limits& l, KnobKey) { l.cpu_quota = double(parse_limit(text)) / kPeriodUs; }},
    {"cpu.max",
     [](const Limits& l, KnobKey) {
       return (l.cpu_quota > 0 ? std::to_string(quota_us(l)) : std::string("max")) + " " + number(kPeriodUs);
     },
     [](std::string_view text, Limits& l, KnobKey) {
       const std::size_t space = text.find(' ');
       const auto period = double(space == std::string_view::npos ? 0 : parse_limit(text.substr(space + 1)));
       l.cpu_quota = double(parse_limit(text.substr(0, space))) / (period > 0 ? period : kPeriodUs);
     }}};

constexpr KnobForm kCpuList = {
    "cpuset.cpus", [](const Limits& l, KnobKey) { return l.cpuset; },
    [](std::string_view text, Limits& l, KnobKey) { l.cpuset = text.substr(0, text.find('\n')); }};

constexpr Knob kCpuset = {"choosing cores", "cpuset", [](const Limits& l, KnobKey) { return !l.cpuset.empty(); },
                          kCpuList, kCpuList};

// ---- memory

constexpr Knob kMemorySoft = {
    "limiting memory softly",
    "memory",
    [](const Limits& l, KnobKey) { return l.memory_soft > 0; },
    {"memory.soft_limit_in_bytes", [](const Limits& l, KnobKey) { return or_minus_one(l.memory_soft); },
     [](std::string_view text, Limits& l, KnobKey) { l.memory_soft = parse_limit(text); }},
    {"memory.high", [](const Limits& l, KnobKey) { return or_max(l.memory_soft); },
     [](std::string_view text, Limits& l, KnobKey) { l.memory_soft = parse_limit(text); }}};

constexpr Knob kMemory = {"limiting memory",
                          "memory",
                          [](const Limits& l, KnobKey) { return l.memory > 0; },
                          {"memory.limit_in_bytes", [](const Limits& l, KnobKey) { return or_minus_one(l.memory); },
                           [](std::string_view text, Limits& l, KnobKey) { l.memory = parse_limit(text); }},
                          {"memory.max", [](const Limits& l, KnobKey) { return or_max(l.memory); },
                           [](std::string_view text, Limits& l, KnobKey) { l.memory = parse_limit(text); }}};

// A kernel without swap accounting has no such file. That is an error only for a task that asks for some swap; one that
// asks for none runs all the same, as a host without accounting usually has no swap either.
constexpr Knob kSwap = {
    "limiting swap",
    "memory",
    [](const Limits& l, KnobKey) { return l.memory > 0 && l.swap > 0; },
    {"memory.memsw.limit_in_bytes", [](const Limits& l, KnobKey) { return or_minus_one(memory_and_swap(l)); },
     [](std::string_view text, Limits& l, KnobKey) {
       const std::uint64_t both = parse_limit(text);
       l.swap = both > l.memory ? both - l.memory : 0;
     }},
    {"memory.swap.max",
     [](const Limits& l, KnobKey) { return l.memory == 0 ? std::string("max") : std::to_string(l.swap); },
     [](std::string_view text, Limits& l, KnobKey) { l.swap = parse_limit(text); }}};

// v1 kills one process at a time; there the runner ends the rest when watch_oom() tells it.
constexpr Knob kOomGroup = {
    "killing the whole task when memory runs out",
    "memory",
    kNeverWanted,
    kNoForm,
    {"memory.oom.group", [](const Limits& l, KnobKey) { return std::string(l.memory > 0 ? "1" : "0"); }, kReadNothing}};

std::uint64_t huge(const Limits& limits, KnobKey size) {
  const auto found = limits.hugetlb.find(size);
  return found == limits.hugetlb.end() ? 0 : found->second;
}

void read_huge(std::string_view text, Limits& limits, KnobKey size) {
  if (const std::uint64_t limit = parse_limit(text); limit > 0) limits.hugetlb[size] = limit;
}

// Huge pages are counted beside memory. Reserving them counts too (since Linux 5.7): otherwise mmap(2) works and the
// process gets a SIGBUS later.
constexpr Knob kHuge = {
    .what = "limiting huge pages",
    .controller = "hugetlb",
    .wanted = [](const Limits& l, KnobKey size) { return huge(l, size) > 0; },
    .v1 = {"hugetlb.*.limit_in_bytes", [](const Limits& l, KnobKey size) { return or_minus_one(huge(l, size)); },
           read_huge},
    .v2 = {"hugetlb.*.max", [](const Limits& l, KnobKey size) { return or_max(huge(l, size)); }, read_huge},
    .per_page_size = true};

constexpr Knob kHugeReserved = {
    .what = "limiting reserved huge pages",
    .controller = "hugetlb",
    .wanted = kNeverWanted,
    .v1 = {"hugetlb.*.rsvd.limit_in_bytes", [](const Limits& l, KnobKey size) { return or_minus_one(huge(l, size)); },
           kReadNothing},
    .v2 = {"hugetlb.*.rsvd.max", [](const Limits& l, KnobKey size) { return or_max(huge(l, size)); }, kReadNothing},
    .per_page_size = true};

// ---- pids

constexpr KnobForm kPidsMax = {"pids.max", [](const Limits& l, KnobKey) { return or_max(l.pids); },
                               [](std::string_view text, Limits& l, KnobKey) { l.pids = parse_limit(text); }};

constexpr Knob kPids = {"limiting processes and threads", "pids", [](const Limits& l, KnobKey) { return l.pids > 0; },
                        kPidsMax, kPidsMax};

// ---- io

// Weights need the scheduler BFQ in v1. In v2 the kernel has two that go by weights, each with a file of its own:
// io.cost, whose file is always there, and BFQ.
constexpr Knob kIoWeight = {
    "weighing io",
    "io",
    [](const Limits& l, KnobKey) { return l.io.weight > 0; },
    {"blkio.bfq.weight",
     [](const Limits& l, KnobKey) {
       return std::to_string(l.io.weight > 0 ? std::min(l.io.weight, kMaxBfqWeight) : kUsualIoWeight);
     },
     [](std::string_view text, Limits& l, KnobKey) { l.io.weight = static_cast<std::uint32_t>(parse_limit(text)); }},
    {"io.weight",
     [](const Limits& l, KnobKey) {
       return "default " + std::to_string(l.io.weight > 0 ? l.io.weight : kUsualIoWeight);
     },
     [](std::string_view text, Limits& l, KnobKey) {
       l.io.weight = static_cast<std::uint32_t>(parse_field(text, "default"));
     }}};

constexpr Knob kBfqWeight = {
    kIoWeight.what,
    "io",
    kNeverWanted,
    kNoForm,
    {"io.bfq.weight",
     [](const Limits& l, KnobKey) {
       return "default " + std::to_string(l.io.weight > 0 ? std::min(l.io.weight, kMaxBfqWeight) : kUsualIoWeight);
     },
     kReadNothing}};

using Rate = std::uint64_t IoLimits::*;

bool any_rate(const IoLimits& io) {
  return io.read_bps > 0 || io.write_bps > 0 || io.read_iops > 0 || io.write_iops > 0;
}

std::string rates(const Limits& limits, KnobKey) {
  const IoLimits& io = limits.io;
  if (io.device.empty()) return "";
  return io.device + " rbps=" + or_max(io.read_bps) + " wbps=" + or_max(io.write_bps) +
         " riops=" + or_max(io.read_iops) + " wiops=" + or_max(io.write_iops);
}

void read_rates(std::string_view text, Limits& limits, KnobKey) {
  text = text.substr(0, text.find('\n'));
  if (text.find(' ') == std::string_view::npos) return;
  limits.io.device = text.substr(0, text.find(' '));
  const auto rate = [&](std::string_view name) {
    const std::size_t at = text.find(name);
    return at == std::string_view::npos ? 0 : parse_limit(text.substr(at + name.size()));
  };
  limits.io.read_bps = rate(" rbps=");
  limits.io.write_bps = rate(" wbps=");
  limits.io.read_iops = rate(" riops=");
  limits.io.write_iops = rate(" wiops=");
}

constexpr Knob kIoMax = {.what = "limiting io",
                         .controller = "io",
                         .wanted = [](const Limits& l, KnobKey) { return any_rate(l.io); },
                         .v1 = kNoForm,
                         .v2 = {"io.max", rates, read_rates},
                         .per_device = true};

/// v1 has a file for each rate.
template <Rate kRate>
constexpr Knob v1_rate(const char* file) {
  return {.what = "limiting io",
          .controller = "io",
          .wanted = [](const Limits& l, KnobKey) { return l.io.*kRate > 0; },
          .v1 = {file,
                 [](const Limits& l, KnobKey) {
                   return l.io.device.empty() ? std::string() : l.io.device + " " + std::to_string(l.io.*kRate);
                 },
                 [](std::string_view text, Limits& l, KnobKey) {
                   const std::size_t space = text.find(' ');
                   if (space == std::string_view::npos) return;
                   l.io.device = text.substr(0, space);
                   l.io.*kRate = parse_limit(text.substr(space + 1));
                 }},
          .v2 = kNoForm,
          .per_device = true};
}

}  // namespace

std::span<const Knob> knobs() {
  static constexpr std::array kKnobs = {kCpuWeight,
                                        kCpuPeriod,
                                        kCpuQuota,
                                        kCpuset,
                                        kMemorySoft,
                                        kMemory,
                                        kSwap,
                                        kOomGroup,
                                        kHuge,
                                        kHugeReserved,
                                        kPids,
                                        kIoWeight,
                                        kBfqWeight,
                                        kIoMax,
                                        v1_rate<&IoLimits::read_bps>("blkio.throttle.read_bps_device"),
                                        v1_rate<&IoLimits::write_bps>("blkio.throttle.write_bps_device"),
                                        v1_rate<&IoLimits::read_iops>("blkio.throttle.read_iops_device"),
                                        v1_rate<&IoLimits::write_iops>("blkio.throttle.write_iops_device")};
  return kKnobs;
}

std::string_view v1_controller(std::string_view controller) { return controller == "io" ? "blkio" : controller; }

std::string knob_file(const KnobForm& form, KnobKey key) {
  std::string file = form.file;
  const std::size_t star = file.find('*');
  return star == std::string::npos ? file : file.replace(star, 1, key);
}

std::string knob_value(const Knob& knob, const KnobForm& form, std::string_view content, const Limits& limits) {
  if (!knob.per_device) {
    while (content.ends_with('\n')) content.remove_suffix(1);
    if (knob.what == std::string_view(kIoWeight.what)) content = content.substr(0, content.find('\n'));
    // v1, and hugetlb on v2 until it was written to, show no limit as the largest whole page below 2^63.
    const bool huge_number = content.size() > 18 && parse_limit(content) == 0;
    return huge_number ? form.text({}, {}) : std::string(content);
  }
  while (!content.empty()) {
    const std::string_view line = content.substr(0, content.find('\n'));
    if (line.starts_with(limits.io.device + " ")) return std::string(line);
    content.remove_prefix(std::min(line.size() + 1, content.size()));
  }
  Limits none;
  none.io.device = limits.io.device;
  return form.text(none, {});
}

std::string knob_advice(const Knob& knob, int error) {
  const std::string_view what = knob.what;
  switch (error) {
    case ENOENT:
      if (what == kSwap.what) return "this kernel does not account swap: boot it with swapaccount=1, or ask for none";
      if (what == kIoWeight.what) return "the disk's scheduler knows no weights: choose 'bfq', or leave the weight out";
      if (what == kHuge.what) return "this host has no huge pages of that size: see /sys/kernel/mm/hugepages";
      return "this kernel was built without it: leave the limit out";
    case EBUSY:
      return "more than that is in use already: choose a higher limit";
    case ENODEV:
      return "there is no such disk";
    case EINVAL:
    case ERANGE:
      return "out of the kernel's range, or above what a group higher up allows";
    case EACCES:
    case EPERM:
    case EROFS:
      return "run as root, with the cgroup file systems mounted writable";
    default:
      return "";
  }
}

std::string page_size_name(std::string_view folder) {
  constexpr std::string_view kPrefix = "hugepages-", kSuffix = "kB";
  if (!folder.starts_with(kPrefix) || !folder.ends_with(kSuffix)) return "";
  const auto kb = parse_number(folder.substr(kPrefix.size()));
  if (kb <= 0) return "";
  if (kb >= 1 << 20) return std::to_string(kb >> 20) + "GB";
  if (kb >= 1 << 10) return std::to_string(kb >> 10) + "MB";
  return std::to_string(kb) + "KB";
}

Result<void> check_cpuset(const std::string& wanted, const std::string& online) {
  const std::vector<int> list = parse_cpu_list(wanted);
  if (list.empty()) return fail("cpuset '" + wanted + "' is no list of cores, like 0-3,8");
  const std::vector<int> there = parse_cpu_list(online);
  for (const int cpu : list) {
    if (std::ranges::find(there, cpu) != there.end()) continue;
    return fail("cpuset '" + wanted + "': this host has no core " + std::to_string(cpu) +
                " (online: " + online.substr(0, online.find('\n')) + ")");
  }
  return {};
}

}  // namespace dewar
