#include "isolation/cgroup/sampler.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/files.h"
#include "isolation/cgroup/stat.h"
#include "isolation/net/netns.h"

namespace dewar {
namespace {

constexpr std::size_t kChunk = 4096;
/// The kernel ends a read early at the end of a file, or before a record that does not fit whole. Records are shorter
/// than this, so a read that leaves more room was the last, and need not be followed by an empty one, which costs as
/// much.
constexpr std::size_t kLongestRecord = 512;
constexpr int kMostLookedAt = 64;  // processes of a group whose descriptors are counted
constexpr std::size_t kMostCounted = 1 << 16;

/// Calls `act` with each line of the file, from its beginning. A line longer than a chunk comes in pieces. False if it
/// cannot be read.
template <class Act>
bool each_line(int fd, Act act) {
  char chunk[kChunk];
  std::size_t held = 0;  // of a line whose end has not come yet
  for (off_t at = 0;;) {
    const std::size_t room = sizeof chunk - held;
    const ssize_t n = retry_eintr([&] { return ::pread(fd, chunk + held, room, at); });
    if (n < 0) return false;
    at += n;
    const bool end_of_file = n == 0 || static_cast<std::size_t>(n) + kLongestRecord < room;
    std::string_view text(chunk, held + static_cast<std::size_t>(n));
    for (std::size_t end; (end = text.find('\n')) != std::string_view::npos; text.remove_prefix(end + 1))
      act(text.substr(0, end));
    if (end_of_file || text.size() == sizeof chunk) {
      if (!text.empty()) act(text);
      if (end_of_file) return true;
      text = {};
    }
    held = text.size();
    std::memmove(chunk, text.data(), held);
  }
}

template <class Act>
bool each_line(const UniqueFd& folder, const char* file, Act act) {
  if (!folder) return false;
  const UniqueFd fd(::openat(folder.get(), file, O_RDONLY | O_CLOEXEC));
  return fd && each_line(fd.get(), act);
}

std::string_view cut_word(std::string_view& line) {
  const std::size_t end = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return word;
}

struct Key {
  std::string_view name;
  Amount* value;
};

/// Takes the numbers of lines "key number".
template <std::size_t N>
auto take(const Key (&keys)[N]) {
  return [&keys](std::string_view line) {
    const std::string_view name = cut_word(line);
    for (const Key& key : keys) {
      if (key.name == name) *key.value = parse_number(line);
    }
  };
}

/// What cannot be read leaves the value as it was.
void read_amount(const UniqueFd& folder, const char* file, Amount& value) {
  each_line(folder, file, [&](std::string_view line) { value = parse_number(line); });
}

UniqueFd open_folder(const std::string& folder) {
  return UniqueFd(folder.empty() ? -1 : ::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
}

UniqueFd open_below(const UniqueFd& folder, const char* file) {
  return UniqueFd(folder ? ::openat(folder.get(), file, O_RDONLY | O_CLOEXEC) : -1);
}

/// "some avg10=0.00 avg60=0.00 avg300=0.00 total=4711"
void take_pressure(std::string_view line, Amount& some, Amount& full) {
  const bool is_some = line.starts_with("some ");
  const std::size_t total = line.find("total=");
  if (total != std::string_view::npos) (is_some ? some : full) = parse_number(line.substr(total + 6));
}

/// v1's "8:0 Read 4096", and "Total 0" behind all devices.
bool sum_v1_io(const UniqueFd& folder, const char* file, Amount& read, Amount& write) {
  bool any = false;
  Amount reads = 0, writes = 0;
  const bool readable = each_line(folder, file, [&](std::string_view line) {
    cut_word(line);
    const std::string_view what = cut_word(line);
    if (what == "Read") *reads += parse_number(line), any = true;
    if (what == "Write") *writes += parse_number(line);
  });
  if (!readable || !any) return false;
  read = reads, write = writes;
  return true;
}

/// How many descriptors a process holds: Linux 6.2 tells it as the folder's size, before that its entries are counted.
std::int64_t count_descriptors(std::string_view pid) {
  char path[64] = "/proc/";
  std::memcpy(path + 6, pid.data(), pid.size());
  std::memcpy(path + 6 + pid.size(), "/fd", 4);
  struct stat info {};
  if (::stat(path, &info) == 0 && info.st_size > 0) return info.st_size;
  const UniqueFd folder(::open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return 0;
  alignas(8) char entries[kChunk];
  std::size_t count = 0;
  while (count < kMostCounted) {
    const ssize_t n = ::getdents64(folder.get(), entries, sizeof entries);
    if (n <= 0) break;
    for (ssize_t at = 0; at < n;) {
      std::uint16_t length = 0;
      std::memcpy(&length, entries + at + 16, sizeof length);  // struct linux_dirent64: d_reclen, then d_type, d_name
      count += entries[at + 19] == '.' ? 0 : 1;
      at += length;
    }
  }
  return static_cast<std::int64_t>(count);
}

}  // namespace

Sampler::Sampler(const SampledGroup& group)
    : cpu_version_(group.cpu.version),
      memory_version_(group.memory.version),
      io_version_(group.io.version),
      leaf_(group.leaf),
      unified_(open_folder(group.unified)),
      cpuacct_(open_folder(group.cpuacct)),
      cpu_(open_folder(group.cpu.folder)),
      memory_(open_folder(group.memory.folder)),
      io_(open_folder(group.io.folder)),
      pids_(open_folder(group.pids.folder)),
      members_(open_folder(group.members)),
      net_dev_(group.net_dev.empty() ? -1 : ::open(group.net_dev.c_str(), O_RDONLY | O_CLOEXEC)) {
  cpu_time_ = unified_ ? open_below(unified_, "cpu.stat") : open_below(cpuacct_, "cpuacct.usage");
  const bool v2 = memory_version_ == CgroupVersion::kV2;
  memory_now_ = open_below(memory_, v2 ? "memory.current" : "memory.usage_in_bytes");
}

const Usage& Sampler::look(Depth depth) {
  const Amount cpu_before = unified_ ? usage_.cpu_us() : Amount(v1_cpu_ns_), memory_before = usage_.memory_bytes;
  if (unified_ && cpu_time_) {
    const Key keys[] = {{"user_usec", &usage_.cpu_user_us}, {"system_usec", &usage_.cpu_system_us}};
    each_line(cpu_time_.get(), take(keys));
  } else if (cpu_time_) {
    each_line(cpu_time_.get(), [&](std::string_view line) { v1_cpu_ns_ = parse_number(line); });
  }
  if (memory_now_)
    each_line(memory_now_.get(), [&](std::string_view line) { usage_.memory_bytes = parse_number(line); });
  const Amount cpu_now = unified_ ? usage_.cpu_us() : Amount(v1_cpu_ns_);
  unchanged_ = cpu_now == cpu_before && usage_.memory_bytes == memory_before;
  if (unchanged_ && depth != Depth::kAll) return usage_;
  if (!unified_) read_cpu_split();
  read_throttling();
  read_memory();
  read_io();
  read_pressure();
  read_members();
  if (depth != Depth::kUsual) read_descriptors();
  if (net_dev_) read_network();
  return usage_;
}

/// v1's exact time, split by the ticks that it counts beside.
void Sampler::read_cpu_split() {
  if (!cpu_time_ || v1_cpu_ns_ < 0) return;
  Amount user = 0, system = 0;
  const Key keys[] = {{"user", &user}, {"system", &system}};
  if (!each_line(cpuacct_, "cpuacct.stat", take(keys))) return;
  const CpuTime time = split_cpu_time(v1_cpu_ns_ / 1000, *user, *system);
  usage_.cpu_user_us = time.user_us;
  usage_.cpu_system_us = time.system_us;
}

/// A leaf has no quota of its own: only cpu.stat.local tells when it was held back with its task (Linux 6.6).
void Sampler::read_throttling() {
  if (leaf_) {
    if (cpu_version_ != CgroupVersion::kV2) return;
    const Key keys[] = {{"throttled_usec", &usage_.throttled_us}};
    each_line(cpu_, "cpu.stat.local", take(keys));
    return;
  }
  Amount nanoseconds;
  const Key keys[] = {{"nr_throttled", &usage_.throttled_periods},
                      {"throttled_usec", &usage_.throttled_us},
                      {"throttled_time", &nanoseconds}};
  each_line(cpu_, "cpu.stat", take(keys));
  if (nanoseconds) usage_.throttled_us = *nanoseconds / 1000;
}

void Sampler::read_memory() {
  if (!memory_) return;
  Amount faults, idle;
  if (memory_version_ == CgroupVersion::kV1) {
    read_amount(memory_, "memory.max_usage_in_bytes", usage_.memory_peak_bytes);
    const Key keys[] = {{"total_rss", &usage_.memory_anon_bytes},
                        {"total_cache", &usage_.memory_file_bytes},
                        {"total_inactive_file", &idle},
                        {"total_pgfault", &faults},
                        {"total_pgmajfault", &usage_.major_faults}};
    each_line(memory_, "memory.stat", take(keys));
    const Key kills[] = {{"oom_kill", &usage_.oom_kills}};
    each_line(memory_, "memory.oom_control", take(kills));
  } else {
    Amount peak;
    read_amount(memory_, "memory.peak", peak);  // Linux 5.19
    usage_.memory_peak_bytes = std::max({usage_.memory_peak_bytes, peak, usage_.memory_bytes});
    const Key keys[] = {{"anon", &usage_.memory_anon_bytes},
                        {"file", &usage_.memory_file_bytes},
                        {"inactive_file", &idle},
                        {"pgfault", &faults},
                        {"pgmajfault", &usage_.major_faults}};
    each_line(memory_, "memory.stat", take(keys));
    const Key kills[] = {{"oom_kill", &usage_.oom_kills}};
    each_line(memory_, "memory.events", take(kills));
  }
  if (usage_.memory_bytes && idle) usage_.working_set_bytes = std::max<std::int64_t>(*usage_.memory_bytes - *idle, 0);
  if (faults && usage_.major_faults) usage_.minor_faults = std::max<std::int64_t>(*faults - *usage_.major_faults, 0);
}

/// v1 counts only what passes a throttle that somebody has set, on newer kernels: no line at all tells nothing.
void Sampler::read_io() {
  if (!io_) return;
  if (io_version_ == CgroupVersion::kV1) {
    if (!sum_v1_io(io_, "blkio.throttle.io_service_bytes_recursive", usage_.io_read_bytes, usage_.io_write_bytes))
      return;
    sum_v1_io(io_, "blkio.throttle.io_serviced_recursive", usage_.io_reads, usage_.io_writes);
    return;
  }
  Amount read_bytes = 0, write_bytes = 0, reads = 0, writes = 0;
  const bool readable = each_line(io_, "io.stat", [&](std::string_view line) {
    cut_word(line);
    while (!line.empty()) {
      const std::string_view word = cut_word(line);
      const auto add = [&](std::string_view key, Amount& sum) {
        if (word.starts_with(key)) *sum += parse_number(word.substr(key.size()));
      };
      add("rbytes=", read_bytes), add("wbytes=", write_bytes), add("rios=", reads), add("wios=", writes);
    }
  });
  if (!readable) return;
  usage_.io_read_bytes = read_bytes, usage_.io_write_bytes = write_bytes;
  usage_.io_reads = reads, usage_.io_writes = writes;
}

void Sampler::read_pressure() {
  const auto read = [&](const char* file, Amount& some, Amount& full) {
    each_line(unified_, file, [&](std::string_view line) { take_pressure(line, some, full); });
  };
  read("cpu.pressure", usage_.cpu_some_us, usage_.cpu_full_us);
  read("memory.pressure", usage_.memory_some_us, usage_.memory_full_us);
  read("io.pressure", usage_.io_some_us, usage_.io_full_us);
}

void Sampler::read_members() {
  if (pids_) {
    Amount peak;
    read_amount(pids_, "pids.current", usage_.pids);
    read_amount(pids_, "pids.peak", peak);
    usage_.pids_peak = std::max({usage_.pids_peak, peak, usage_.pids});
    const Key keys[] = {{"max", &usage_.forks_refused}};
    each_line(pids_, "pids.events", take(keys));
  } else {
    std::int64_t count = 0;
    if (each_line(members_, unified_ ? "cgroup.threads" : "tasks", [&](std::string_view) { ++count; }))
      usage_.pids = count;
    usage_.pids_peak = std::max(usage_.pids_peak, usage_.pids);
  }
}

void Sampler::read_descriptors() {
  std::int64_t processes = 0;
  const bool readable = each_line(members_, "cgroup.procs", [&](std::string_view pid) {
    if (processes++ >= kMostLookedAt || pid.size() > 10) return;
    if (const std::int64_t held = count_descriptors(pid); held > 0)
      usage_.descriptors_peak = std::max<Amount>(usage_.descriptors_peak, held);
  });
  if (readable) usage_.processes = processes;
}

void Sampler::read_network() {
  each_line(net_dev_.get(), [&](std::string_view line) {
    const auto counters = parse_net_dev(line);
    if (!counters) return;
    usage_.net_rx_bytes = counters->rx_bytes;
    usage_.net_tx_bytes = counters->tx_bytes;
  });
}

}  // namespace dewar
