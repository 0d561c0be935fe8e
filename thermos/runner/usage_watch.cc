#include "thermos/runner/usage_watch.h"

#include <algorithm>

#include "base/files.h"

namespace dewar {
namespace {

constexpr auto kPeriod = std::chrono::seconds(1);
// In periods. What runs is looked at in every one, but for its members' descriptors; what the kernel does for a group
// that does not run changes so little that seldom is enough.
constexpr std::int64_t kLookAtMembers = 10, kLookAtWaiting = 60;

Sampler::Depth depth_at(std::int64_t period) {
  if (period % kLookAtWaiting == 0) return Sampler::Depth::kWaiting;
  return period % kLookAtMembers == 0 ? Sampler::Depth::kMembers : Sampler::Depth::kUsual;
}

}  // namespace

UsageWatch::UsageWatch(const WatchContext& context, const std::string& boot_id, Hooks hooks)
    : context_(context),
      boot_id_(boot_id),
      hooks_(std::move(hooks)),
      begin_(context.clock.now()),
      task_(context.container.sampled()) {
  (void)make_dirs(context_.spec.run_folder + "/usage");  // what cannot be made shows when a ring is opened
  open_ring(task_, usage_file(context_.spec.run_folder));
  timer_ = context_.loop.at(begin_ + kPeriod, [this] { tick(); });
}

UsageWatch::~UsageWatch() {
  context_.loop.cancel(timer_);
  // Every run has ended, and with the last one all was looked at: more is only read if anything has run since.
  Usage last = task_.sampler.look(Sampler::Depth::kUsual);
  complete(last);
  keep(task_, last);
  if (task_.ring) (void)task_.ring->flush();
}

void UsageWatch::started(const Attempt& attempt) {
  if (!attempt.leaf()) return;
  const auto [place, fresh] = runs_.try_emplace({attempt.process(), attempt.run()}, attempt.leaf()->sampled());
  if (fresh) open_ring(place->second, usage_file(context_.spec.run_folder, attempt.process(), attempt.run()));
}

Usage UsageWatch::ended(const Attempt& attempt) {
  auto node = runs_.extract({attempt.process(), attempt.run()});
  if (node.empty()) return {};
  Series& series = node.mapped();
  Usage used = series.sampler.look(Sampler::Depth::kAll);
  if (attempt.leaf()) attempt.leaf()->add_uninherited(used);
  ended_refusals_ += used.forks_refused.value_or(0);
  keep(series, used);
  if (series.ring) (void)series.ring->flush();
  return used;
}

Usage UsageWatch::task() {
  Usage usage = task_.sampler.look(Sampler::Depth::kAll);
  complete(usage);
  return usage;
}

/// What the task's group does not count, but its runs' do, and what no group does.
void UsageWatch::complete(Usage& task) const {
  std::int64_t kills = 0, refusals = ended_refusals_;
  for (const auto& [key, series] : runs_) {
    kills += series.sampler.last().oom_kills.value_or(0);
    refusals += series.sampler.last().forks_refused.value_or(0);
  }
  if (task.oom_kills) task.oom_kills = std::max(*task.oom_kills, kills);
  if (task.forks_refused) task.forks_refused = std::max(*task.forks_refused, refusals);
  hooks_.complete(task);
}

void UsageWatch::tick() {
  const Time now = context_.clock.now();
  // Seconds that went by unused, because this host had no time for us, stay a gap.
  ticks_ = std::max<std::int64_t>(ticks_ + 1, (now - begin_) / kPeriod);
  timer_ = context_.loop.at(begin_ + (ticks_ + 1) * kPeriod, [this] { tick(); });

  const Sampler::Depth depth = depth_at(ticks_);
  for (auto& [key, series] : runs_) {
    const bool first = !series.sampler.last().memory_bytes && !series.sampler.last().cpu_us();
    keep(series, series.sampler.look(first ? Sampler::Depth::kAll : depth));
  }
  Usage task = task_.sampler.look(depth);
  complete(task);
  keep(task_, task);
  if (hooks_.watched()) tell_all();
  hooks_.each_second(task);
}

void UsageWatch::tell_all() {
  for (auto& [key, series] : runs_) tell(key, series, series.sampler.last());
  Usage task = task_.sampler.last();
  complete(task);
  tell({"", 0}, task_, task);
}

void UsageWatch::open_ring(Series& series, const std::string& path) {
  auto ring = UsageRing::open(path, context_.clock, boot_id_);
  if (ring) {
    series.ring = std::make_unique<UsageRing>(std::move(ring).take());
  } else if (!std::exchange(trouble_told_, true)) {
    context_.tell({0, "usage", "", 0, "there is no history of usage: " + ring.error().message()});
  }
}

void UsageWatch::keep(Series& series, const Usage& usage) {
  if (!series.ring) return;
  if (auto kept = series.ring->add(context_.clock, usage); !kept && !std::exchange(trouble_told_, true))
    context_.tell({0, "usage", "", 0, "the history of usage has gaps: " + kept.error().message()});
}

void UsageWatch::tell(const Key& key, Series& series, const Usage& usage) {
  SampleRecord sample{key.first, key.second, context_.clock.wall(), 0, usage};
  const Time now = context_.clock.now();
  const double passed_us = std::chrono::duration<double, std::micro>(now - series.told).count();
  if (series.told_cpu_us && usage.cpu_us() && passed_us > 0)
    sample.cpu = std::max(0.0, static_cast<double>(*usage.cpu_us() - *series.told_cpu_us) / passed_us);
  series.told_cpu_us = usage.cpu_us();
  series.told = now;
  hooks_.sample(sample);
}

}  // namespace dewar
