#include "thermos/runner/time_watch.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "base/process.h"
#include "base/units.h"
#include "thermos/events.h"
#include "thermos/explain/death.h"

namespace dewar {
namespace {

constexpr const char* kKind = "time";

/// How long a process lives already.
Duration age_of(const ProcessId& process) {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);  // what field 22 of /proc/<pid>/stat counts
  const Duration since_boot = std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
  const auto ticks = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  const auto start = std::chrono::nanoseconds(process.start_ticks * (1'000'000'000 / ticks));
  return std::max<Duration>(since_boot - start, Duration{});
}

Duration limit_of(const RunnerSpec& spec, const std::string& process) {
  const auto found = std::ranges::find(spec.plan.processes, process, &ProcessSpec::name);
  return found == spec.plan.processes.end() ? Duration{} : found->time_limit;
}

std::map<std::string, std::string> details_of(Duration limit) {
  return {{"cause", "time-limit"}, {"limit", format_duration(limit)}};
}

}  // namespace

TimeWatch::TimeWatch(const WatchContext& context) : context_(context) {
  const Duration limit = context_.spec.plan.time_limit;
  if (limit <= Duration{}) return;
  const Duration left = limit - age_of(context_.container.init_id());
  task_timer_ = context_.loop.at(context_.clock.now() + left, [this] { task_is_over(); });
}

TimeWatch::~TimeWatch() {
  context_.loop.cancel(task_timer_);
  for (const auto& [process, timer] : timers_) context_.loop.cancel(timer);
}

void TimeWatch::run_running(const std::string& process, int run, pid_t pid) {
  const Duration limit = limit_of(context_.spec, process);
  const auto known = identify(pid);
  if (limit <= Duration{} || !known) return;
  timers_[process] = context_.loop.at(context_.clock.now() + limit - age_of(*known),
                                      [this, process, run] { run_is_over(process, run); });
}

void TimeWatch::run_ended(const std::string& process, const Usage&) {
  const auto timer = timers_.find(process);
  if (timer == timers_.end()) return;
  context_.loop.cancel(timer->second);
  timers_.erase(timer);
}

/// Written down first: a runner that dies in between is followed by one that still knows why the run ended.
void TimeWatch::run_is_over(const std::string& process, int run) {
  const Duration limit = limit_of(context_.spec, process);
  if (time_limit_met(context_.spec, process, run) == Duration{})
    context_.tell({0, kKind, process, run, time_limit_words(limit) + " and is ended", details_of(limit)});
  context_.signal_run(process, run, SIGTERM);
  timers_[process] = context_.loop.at(context_.clock.now() + context_.spec.plan.finalization_wait,
                                      [this, process, run] { context_.signal_run(process, run, SIGKILL); });
}

void TimeWatch::task_is_over() {
  const Duration limit = context_.spec.plan.time_limit;
  auto details = details_of(limit);
  details["ends"] = "task";
  context_.end_task("the task " + time_limit_words(limit),
                    {0, kKind, "", 0, "the task " + time_limit_words(limit) + " and is ended", std::move(details)});
}

Duration time_limit_met(const RunnerSpec& spec, const std::string& process, int run) {
  const Duration limit = limit_of(spec, process);
  if (limit <= Duration{}) return {};
  for (const EventRecord& event : read_events(spec.run_folder))
    if (event.kind == kKind && event.process == process && event.run == run) return limit;
  return {};
}

}  // namespace dewar
