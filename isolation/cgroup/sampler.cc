#include "isolation/cgroup/sampler.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

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

UniqueFd open_folder(const std::string& folder) {
  return UniqueFd(folder.empty() ? -1 : ::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
}

UniqueFd open_below(const UniqueFd& folder, const char* file) {
  return UniqueFd(folder ? ::openat(folder.get(), file, O_RDONLY | O_CLOEXEC) : -1);
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

const UniqueFd& Sampler::folder_of(File file) const {
  switch (file) {
    case kCpuSplit:
      return cpuacct_;
    case kThrottling:
      return cpu_;
    case kMemoryPeak:
    case kMemoryKinds:
    case kMemoryEvents:
      return memory_;
    case kIo:
    case kIoOperations:
      return io_;
    case kPids:
    case kPidsPeak:
    case kPidsEvents:
      return pids_;
    case kThreads:
    case kProcesses:
      return members_;
    default:
      return unified_;
  }
}

const char* Sampler::name_of(File file) const {
  const bool memory_v2 = memory_version_ == CgroupVersion::kV2, io_v2 = io_version_ == CgroupVersion::kV2;
  switch (file) {
    case kCpuSplit:
      return "cpuacct.stat";
    case kThrottling:
      return leaf_ ? "cpu.stat.local" : "cpu.stat";
    case kMemoryPeak:
      return memory_v2 ? "memory.peak" : "memory.max_usage_in_bytes";  // v2: since Linux 5.19
    case kMemoryKinds:
      return "memory.stat";
    case kMemoryEvents:
      return memory_v2 ? "memory.events" : "memory.oom_control";
    case kIo:
      return io_v2 ? "io.stat" : "blkio.throttle.io_service_bytes_recursive";
    case kIoOperations:
      return "blkio.throttle.io_serviced_recursive";
    case kCpuPressure:
      return "cpu.pressure";
    case kMemoryPressure:
      return "memory.pressure";
    case kIoPressure:
      return "io.pressure";
    case kPids:
      return "pids.current";
    case kPidsPeak:
      return "pids.peak";
    case kPidsEvents:
      return "pids.events";
    case kThreads:
      return unified_ ? "cgroup.threads" : "tasks";
    case kProcesses:
      return "cgroup.procs";
    case kFileCount:
      break;
  }
  return "";
}

template <class Act>
bool Sampler::lines(File file, Act act) {
  KeptFile& kept = kept_[file];
  if (!std::exchange(kept.tried, true)) kept.fd = open_below(folder_of(file), name_of(file));
  return kept.fd && each_line(kept.fd.get(), act);
}

void Sampler::read_amount(File file, Amount& value) {
  lines(file, [&](std::string_view line) { value = parse_number(line); });
}

const Usage& Sampler::look(Depth depth) {
  read_first();
  const bool whole = depth == Depth::kAll || !unchanged_;
  if (whole) {
    if (!unified_) read_cpu_split();
    read_throttling();
    read_memory();
    read_io();
    read_pressure(kCpuPressure, usage_.cpu_some_us, usage_.cpu_full_us);
    read_pressure(kMemoryPressure, usage_.memory_some_us, usage_.memory_full_us);
    read_pressure(kIoPressure, usage_.io_some_us, usage_.io_full_us);
    read_members();
    if (net_dev_) read_network();
  } else if (depth == Depth::kWaiting) {
    // Its pages are written; it hangs on a disk; packets come in.
    read_io();
    read_pressure(kMemoryPressure, usage_.memory_some_us, usage_.memory_full_us);
    read_pressure(kIoPressure, usage_.io_some_us, usage_.io_full_us);
    if (net_dev_) read_network();
  }
  // Also of a group that has opened some since they were counted, and sleeps by now.
  uncounted_ = uncounted_ || whole;
  if (depth != Depth::kUsual && std::exchange(uncounted_, false)) read_descriptors();
  ran_ = ran_ || !unchanged_;
  if (depth == Depth::kWaiting && !std::exchange(ran_, false)) kept_ = {};
  return usage_;
}

void Sampler::read_first() {
  const Amount cpu_before = unified_ ? usage_.cpu_us() : Amount(v1_cpu_ns_), memory_before = usage_.memory_bytes;
  if (unified_ && cpu_time_) {
    const bool quota = !leaf_ && cpu_version_ == CgroupVersion::kV2;
    Amount none;
    const Key keys[] = {{"user_usec", &usage_.cpu_user_us},
                        {"system_usec", &usage_.cpu_system_us},
                        {"nr_throttled", quota ? &usage_.throttled_periods : &none},
                        {"throttled_usec", quota ? &usage_.throttled_us : &none}};
    each_line(cpu_time_.get(), take(keys));
  } else if (cpu_time_) {
    each_line(cpu_time_.get(), [&](std::string_view line) { v1_cpu_ns_ = parse_number(line); });
  }
  if (memory_now_)
    each_line(memory_now_.get(), [&](std::string_view line) { usage_.memory_bytes = parse_number(line); });
  const Amount cpu_now = unified_ ? usage_.cpu_us() : Amount(v1_cpu_ns_);
  unchanged_ = cpu_now == cpu_before && usage_.memory_bytes == memory_before;
}

/// v1's exact time, split by the ticks that it counts beside.
void Sampler::read_cpu_split() {
  if (!cpu_time_ || v1_cpu_ns_ < 0) return;
  Amount user = 0, system = 0;
  const Key keys[] = {{"user", &user}, {"system", &system}};
  if (!lines(kCpuSplit, take(keys))) return;
  const CpuTime time = split_cpu_time(v1_cpu_ns_ / 1000, *user, *system);
  usage_.cpu_user_us = time.user_us;
  usage_.cpu_system_us = time.system_us;
}

/// Of a task on v1 and, since Linux 6.6, of a leaf on v2: what is throttled there is the task. A task's on v2 stands
/// beside its CPU time.
void Sampler::read_throttling() {
  if (leaf_ == (cpu_version_ == CgroupVersion::kV1)) return;
  Amount nanoseconds;
  if (leaf_) {
    const Key keys[] = {{"throttled_usec", &usage_.throttled_us}};
    lines(kThrottling, take(keys));
  } else {
    const Key keys[] = {{"nr_throttled", &usage_.throttled_periods}, {"throttled_time", &nanoseconds}};
    lines(kThrottling, take(keys));
  }
  if (nanoseconds) usage_.throttled_us = *nanoseconds / 1000;
}

void Sampler::read_memory() {
  if (!memory_) return;
  if (memory_version_ == CgroupVersion::kV1) {
    read_amount(kMemoryPeak, usage_.memory_peak_bytes);
  } else {
    Amount peak;
    read_amount(kMemoryPeak, peak);
    usage_.memory_peak_bytes = std::max({usage_.memory_peak_bytes, peak, usage_.memory_bytes});
  }
  const bool v1 = memory_version_ == CgroupVersion::kV1;
  Amount faults, idle;
  const Key keys[] = {{v1 ? "total_rss" : "anon", &usage_.memory_anon_bytes},
                      {v1 ? "total_cache" : "file", &usage_.memory_file_bytes},
                      {v1 ? "total_inactive_file" : "inactive_file", &idle},
                      {v1 ? "total_pgfault" : "pgfault", &faults},
                      {v1 ? "total_pgmajfault" : "pgmajfault", &usage_.major_faults}};
  lines(kMemoryKinds, take(keys));
  if (usage_.memory_bytes && idle) usage_.working_set_bytes = std::max<std::int64_t>(*usage_.memory_bytes - *idle, 0);
  if (faults && usage_.major_faults) usage_.minor_faults = std::max<std::int64_t>(*faults - *usage_.major_faults, 0);
  const Key kills[] = {{"oom_kill", &usage_.oom_kills}};
  lines(kMemoryEvents, take(kills));
}

/// v1 counts only what passes a throttle that somebody has set, on newer kernels: no line at all tells nothing.
void Sampler::read_io() {
  if (!io_) return;
  if (io_version_ == CgroupVersion::kV1) {
    if (!sum_v1_io(kIo, usage_.io_read_bytes, usage_.io_write_bytes)) return;
    sum_v1_io(kIoOperations, usage_.io_reads, usage_.io_writes);
    return;
  }
  Amount read_bytes = 0, write_bytes = 0, reads = 0, writes = 0;
  const bool readable = lines(kIo, [&](std::string_view line) {
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

/// v1's "8:0 Read 4096", and "Total 0" behind all devices.
bool Sampler::sum_v1_io(File file, Amount& read, Amount& write) {
  bool any = false;
  Amount reads = 0, writes = 0;
  const bool readable = lines(file, [&](std::string_view line) {
    cut_word(line);
    const std::string_view what = cut_word(line);
    if (what == "Read") *reads += parse_number(line), any = true;
    if (what == "Write") *writes += parse_number(line);
  });
  if (!readable || !any) return false;
  read = reads, write = writes;
  return true;
}

/// "some avg10=0.00 avg60=0.00 avg300=0.00 total=4711"
void Sampler::read_pressure(File file, Amount& some, Amount& full) {
  lines(file, [&](std::string_view line) {
    const bool is_some = line.starts_with("some ");
    const std::size_t total = line.rfind("total=");
    if (total != std::string_view::npos) (is_some ? some : full) = parse_number(line.substr(total + 6));
  });
}

void Sampler::read_members() {
  if (pids_) {
    Amount peak;
    read_amount(kPids, usage_.pids);
    read_amount(kPidsPeak, peak);
    usage_.pids_peak = std::max({usage_.pids_peak, peak, usage_.pids});
    const Key keys[] = {{"max", &usage_.forks_refused}};
    lines(kPidsEvents, take(keys));
  } else {
    std::int64_t count = 0;
    if (lines(kThreads, [&](std::string_view) { ++count; })) usage_.pids = count;
    usage_.pids_peak = std::max(usage_.pids_peak, usage_.pids);
  }
}

void Sampler::read_descriptors() {
  std::int64_t processes = 0;
  const bool readable = lines(kProcesses, [&](std::string_view pid) {
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
