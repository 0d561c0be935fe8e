#include "thermos/runner/memory_watch.h"

#include <unistd.h>

#include <algorithm>

#include "base/units.h"
#include "isolation/kernel_log.h"
#include "thermos/explain/death.h"
#include "thermos/runner/attempt.h"

namespace dewar {
namespace {

// The kernel's notice may come before its kill: looks so often, so many milliseconds apart.
constexpr int kLooks = 200;
constexpr auto kBetweenLooks = std::chrono::milliseconds(5);

std::string named(const OomProcess& process) {
  std::string words = process.name + " (pid " + std::to_string(process.pid);
  if (process.bytes > 0) words += ", " + format_bytes(process.bytes);
  return words + ")";
}

const char* level_name(OomLevel level) {
  switch (level) {
    case OomLevel::kRun:
      return "run";
    case OomLevel::kTask:
      return "task";
    case OomLevel::kAbove:
      return "above";
    case OomLevel::kHost:
      return "host";
  }
  return "host";
}

/// Whose memory was used up. Without a report a task that has a limit has most likely met that.
std::string where_words(std::uint64_t limit, const std::optional<OomReport>& report) {
  if (report && report->level == OomLevel::kHost) return "the host ran out of memory";
  if (report && report->level == OomLevel::kAbove) return "a group above the task's reached its memory limit";
  if (limit > 0) return "the memory limit of " + format_bytes(limit) + " was reached";
  return report ? "a memory limit within the task was reached"
                : "the host, or a group above the task's, ran out of memory";
}

template <class List, class Name>
std::string joined(const List& list, const Name& name) {
  std::string words;
  for (const auto& item : list) words += (words.empty() ? "" : ", ") + name(item);
  return words;
}

}  // namespace

std::string oom_words(std::uint64_t limit, const std::set<std::string>& processes,
                      const std::optional<OomReport>& report) {
  std::string words = where_words(limit, report);
  words += " and the kernel killed " + (report ? named(report->victim) : std::string("a process"));
  if (!processes.empty()) words += " in " + joined(processes, [](const std::string& name) { return name; });
  return words + "; the whole task was ended with it";
}

std::map<std::string, std::string> oom_details(std::uint64_t limit, const Usage& used,
                                               const std::optional<OomReport>& report) {
  std::map<std::string, std::string> details{{"cause", "memory"}, {"ends", "task"}};
  if (limit > 0) details["limit_bytes"] = std::to_string(limit);
  if (used.memory_peak_bytes > 0) details["peak_bytes"] = std::to_string(*used.memory_peak_bytes);
  if (!report) return details;
  details["level"] = level_name(report->level);
  details["victim_pid"] = std::to_string(report->victim.pid);
  details["victim_name"] = one_line(report->victim.name, 64);
  if (report->victim.bytes > 0) details["victim_bytes"] = std::to_string(report->victim.bytes);
  for (std::size_t i = 0; i < report->biggest.size(); ++i) {
    const OomProcess& process = report->biggest[i];
    details["biggest." + std::to_string(i + 1)] =
        std::to_string(process.bytes) + " " + std::to_string(process.pid) + " " + one_line(process.name, 64);
  }
  return details;
}

MemoryWatch::MemoryWatch(const WatchContext& context) : context_(context) {
  auto oom = context_.container.cgroup().watch_oom();
  const auto watch = [&] {
    const bool by_change = oom->version == CgroupVersion::kV2;
    return context_.loop.watch(
        oom->fd.get(), [this] { notified(); }, by_change ? EventLoop::Until::kChanged : EventLoop::Until::kReadable);
  };
  auto watched = oom ? watch() : Result<void>(Failure{oom.error()});
  if (watched) {
    oom_ = std::move(oom).take();
  } else {
    context_.tell({0, "memory", "", 0, "running out of memory is not seen at once: " + watched.error().message()});
  }
}

MemoryWatch::~MemoryWatch() {
  if (oom_.fd) context_.loop.unwatch(oom_.fd.get());
  context_.loop.cancel(timer_);
}

void MemoryWatch::notified() {
  oom_.reset();
  tell_soft_limit();
  look_again(kLooks);
}

void MemoryWatch::look_again(int times_left) {
  context_.loop.cancel(timer_);
  timer_ = 0;
  if (end_task_if_killed() || times_left == 0) return;
  timer_ = context_.loop.at(context_.clock.now() + kBetweenLooks, [this, times_left] { look_again(times_left - 1); });
}

void MemoryWatch::run_ended(const std::string& process, const Usage& used) {
  const std::int64_t kills = used.oom_kills.value_or(0);
  if (kills == 0) return;
  ended_kills_ += kills;
  ended_victims_.insert(process);
  (void)end_task_if_killed();
}

void MemoryWatch::complete(Usage& usage) const {
  if (usage.oom_kills) usage.oom_kills = std::max(*usage.oom_kills, ended_kills_);
}

bool MemoryWatch::end_task_if_killed() {
  if (told_) return true;
  const Cgroup& task = context_.container.cgroup();
  const auto total = task.usage();  // read before the runs', which then know of every kill it counts
  std::int64_t kills = ended_kills_;
  std::set<std::string> victims = ended_victims_;
  for (const std::string& name : task.leaves()) {
    const auto leaf = task.find_leaf(name);
    const auto used = leaf ? leaf->usage() : Result<Usage>(Usage{});
    const std::int64_t here = used ? used->oom_kills.value_or(0) : 0;
    if (here == 0) continue;
    kills += here;
    if (std::string process = process_of_leaf(context_.spec, name); !process.empty()) victims.insert(process);
  }
  if (total) kills = std::max(kills, total->oom_kills.value_or(0));
  if (kills == 0) return false;
  told_ = true;
  const auto log = read_kernel_log();
  auto report =
      log ? find_oom_report(*log, context_.spec.container_id, static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)))
          : std::nullopt;
  // cgroup2 counts the whole group that it kills together: the one that it chose is the one to name.
  if (report) {
    const std::string group = report->victim_group.substr(report->victim_group.rfind('/') + 1);
    if (std::string process = process_of_leaf(context_.spec, group); !process.empty()) victims = {process};
  }
  const auto limits = task.limits();
  const std::uint64_t limit = limits ? limits->memory : context_.spec.sandbox.limits.memory;
  const std::string words = oom_words(limit, victims, report);
  auto details = oom_details(limit, total ? *total : Usage{}, report);
  if (victims.size() == 1) details["victim_process"] = *victims.begin();
  context_.tell({0, "memory", victims.size() == 1 ? *victims.begin() : "", 0, words, std::move(details)});
  context_.fail_task(words);
  return true;
}

void MemoryWatch::tell_soft_limit() {
  if (soft_told_ || context_.container.cgroup().soft_limit_hits() == 0) return;
  soft_told_ = true;
  const auto limits = context_.container.cgroup().limits();
  context_.tell({0, "memory", "", 0,
                 "the soft memory limit of " + format_bytes(limits ? limits->memory_soft : 0) +
                     " was reached: the task is slowed, and its memory taken back, while it uses more"});
}

}  // namespace dewar
