#include "thermos/runner/disk_watch.h"

#include <algorithm>
#include <optional>

#include "base/cgroup_members.h"
#include "base/units.h"
#include "isolation/disk/disk_counter.h"
#include "isolation/disk/held_files.h"
#include "thermos/explain/death.h"

namespace dewar {
namespace {

using namespace std::chrono_literals;

constexpr Duration kSlice = 5ms;     // of work on the runner's loop
constexpr Duration kInterval = 1s;   // changes are looked at together
constexpr Duration kLapPause = 10s;  // from the beginning of one lap to that of the next
constexpr Duration kGrace = 10s;     // from the event to the end of the task
constexpr Duration kQuotaNear = 1s, kQuotaFar = 5s;
constexpr Duration kMostWalk = 2s;     // of work, to name the biggest folders
constexpr Duration kLastWalk = 500ms;  // the same, when the task has ended
constexpr std::uint64_t kNearlyFull = 64u << 10;
constexpr std::size_t kNamed = 3, kLongestPath = 120;
// How long to pause after a slice, in lengths of the slice: at most 1/20 of a core is worked, 1/100 while nothing has
// changed, 1/4 once there is reason to hurry.
constexpr int kPause = 19, kIdlePause = 99, kHurriedPause = 3;

std::string describe(const DiskUsage& usage) {
  return format_bytes(usage.bytes) + " in " + std::to_string(usage.inodes) + " files and folders";
}

bool is_above(const DiskUsage& usage, const DiskLimits& limits, std::uint64_t times = 1) {
  return (limits.bytes > 0 && usage.bytes > limits.bytes * times) ||
         (limits.inodes > 0 && usage.inodes > limits.inodes * times);
}

std::string name_limit(const DiskUsage& usage, const DiskLimits& limits) {
  const bool bytes =
      limits.bytes > 0 && (limits.inodes == 0 || usage.bytes >= limits.bytes || usage.inodes < limits.inodes);
  return bytes ? format_bytes(limits.bytes) : std::to_string(limits.inodes) + " files and folders";
}

/// "; the biggest folders are data/blobs with 1.2 GB, cache with 300.0 MB"; empty if none is known.
std::string name_biggest(const DiskCounter& counter) {
  std::string words;
  for (DiskCounter::Big& big : counter.biggest(kNamed)) {
    if (big.path.size() > kLongestPath) big.path.replace(0, big.path.size() - kLongestPath, "...");
    words += (words.empty() ? "; the biggest folders are " : ", ") + big.path + " with " + format_bytes(big.bytes);
  }
  return words;
}

/// The evidence for thermos/explain.
std::map<std::string, std::string> disk_details(const DiskUsage& usage, const DiskLimits& limits,
                                                const DiskCounter* counter, bool ends) {
  std::map<std::string, std::string> details{
      {"cause", "disk"}, {"used_bytes", std::to_string(usage.bytes)}, {"used_inodes", std::to_string(usage.inodes)}};
  if (ends) details["ends"] = "task";
  if (limits.bytes > 0) details["limit_bytes"] = std::to_string(limits.bytes);
  if (limits.inodes > 0) details["limit_inodes"] = std::to_string(limits.inodes);
  std::size_t place = 0;
  for (const DiskCounter::Big& big : counter ? counter->biggest(kNamed) : std::vector<DiskCounter::Big>{})
    details["folder." + std::to_string(++place)] = std::to_string(big.bytes) + " " + one_line(big.path, 512);
  return details;
}

std::vector<DiskCounter::Root> roots_of(const RunnerSpec& spec, bool watched) {
  std::vector<DiskCounter::Root> roots;
  for (const std::string& folder : disk_folders(spec)) roots.push_back({folder, watched && roots.empty()});
  return roots;
}

void add_usage(const DiskUsage& disk, Usage& usage) {
  usage.disk_bytes = static_cast<std::int64_t>(disk.bytes);
  usage.disk_inodes = static_cast<std::int64_t>(disk.inodes);
}

// ---- The file system keeps the limit ----

/// Looks at the quota now and then, which costs a system call. When it is full, walks once over the folders, in slices,
/// to tell where the bytes are.
class QuotaWatch final : public Watcher {
 public:
  QuotaWatch(const WatchContext& context, ProjectQuota quota) : context_(context), quota_(std::move(quota)) {
    at({}, &QuotaWatch::look);
  }

  /// A task that has met its quota just before its end is told of too.
  ~QuotaWatch() override {
    context_.loop.cancel(timer_);
    if (!full_) measure();
    if (!full_ || told_) return;
    if (!walk_) open_walk();
    if (walk_) walk_->work(context_.clock, context_.clock.now() + kLastWalk);
    tell();
  }

  void complete(Usage& usage) const override {
    if (const auto disk = quota_.usage()) add_usage(*disk, usage);
  }

 private:
  void at(Duration wait, void (QuotaWatch::*next)()) {
    timer_ = context_.loop.at(context_.clock.now() + wait, [this, next] { (this->*next)(); });
  }

  void look() {
    measure();
    if (full_ && !told_) {
      open_walk();
      return walk_ ? walk() : tell();
    }
    const DiskLimits& limits = context_.spec.sandbox.disk;
    const bool near = is_above({usage_.bytes * 2, usage_.inodes * 2}, limits);
    at(near ? kQuotaNear : kQuotaFar, &QuotaWatch::look);
  }

  void measure() {
    const DiskLimits& limits = context_.spec.sandbox.disk;
    if (const auto usage = quota_.usage()) usage_ = *usage;
    full_ = (limits.bytes > 0 && usage_.bytes + kNearlyFull > limits.bytes) ||
            (limits.inodes > 0 && usage_.inodes >= limits.inodes);
    const bool room = !is_above({usage_.bytes / 9 * 10, usage_.inodes / 9 * 10}, limits);
    if (told_ && room) told_ = false;  // to be told again, should it fill up again
  }

  void open_walk() {
    if (auto counter = DiskCounter::open(roots_of(context_.spec, false))) walk_ = std::move(counter).take();
  }

  void walk() {
    const Time start = context_.clock.now();
    const bool more = walk_->work(context_.clock, start + kSlice);
    const Duration worked = context_.clock.now() - start;
    walked_ += worked;
    if (more && walked_ < kMostWalk) return at(worked * kHurriedPause, &QuotaWatch::walk);
    tell();
    look();
  }

  void tell() {
    const DiskLimits& limits = context_.spec.sandbox.disk;
    context_.tell({0, "disk", "", 0,
                   "the disk quota of " + name_limit(usage_, limits) + " is used up (" + describe(usage_) +
                       "): writing fails until the task removes something" + (walk_ ? name_biggest(*walk_) : ""),
                   disk_details(usage_, limits, walk_ ? &*walk_ : nullptr, false)});
    told_ = true;
    walk_.reset();
    walked_ = {};
  }

  WatchContext context_;
  ProjectQuota quota_;
  DiskUsage usage_;
  std::optional<DiskCounter> walk_;
  Duration walked_{};
  EventLoop::TimerId timer_ = 0;
  bool full_ = false, told_ = false;
};

// ---- We count ----

class CountingWatch final : public Watcher {
 public:
  CountingWatch(const WatchContext& context, DiskCounter counter) : context_(context), counter_(std::move(counter)) {
    turn();
  }
  ~CountingWatch() override {
    context_.loop.cancel(timer_);
    if (counter_.changes() >= 0) context_.loop.unwatch(counter_.changes());
  }
  void complete(Usage& usage) const override { add_usage(this->usage(), usage); }

  /// What a run has written last is counted when its end is told; judged is it when the loop comes to it.
  void run_ended(const std::string&, const Usage&) override {
    if (failed_) return;
    counter_.read_changes();
    (void)counter_.work(context_.clock, context_.clock.now() + kSlice);
    again(context_.clock.now());
  }

 private:
  DiskUsage usage() const {
    const DiskUsage counted = counter_.usage();
    return {counted.bytes + held_, counted.inodes};
  }

  /// What is over its limit, from the first sight of it on.
  struct Excess {
    std::uint64_t laps;        ///< completed before
    std::optional<Time> told;  ///< once a lap has confirmed it
  };

  /// One slice of work, and when to go on.
  void turn() {
    const Time start = context_.clock.now();
    counter_.read_changes();
    if (!counter_.in_lap() && (excess_ || start >= next_lap_)) {
      counter_.begin_lap();
      next_lap_ = start + kLapPause;
      const auto processes = members(context_.container.cgroup().sweep_folder());
      held_ = processes ? bytes_held(*processes, counter_.device()) : 0;
    }
    if (may_fill_holes() && start >= next_holes_) {
      counter_.check_holes();
      next_holes_ = start + kInterval;
    }
    const bool more = counter_.work(context_.clock, start + kSlice);
    judge();
    if (failed_) return;
    if (more) return again(context_.clock.now() + (context_.clock.now() - start) * pause());
    if (excess_ || may_fill_holes()) return again(start + kInterval);
    again(next_lap_);
    if (counter_.changes() < 0) return;
    // The first change wakes us; those of the next second are looked at together with it.
    (void)context_.loop.watch(counter_.changes(), [this] {
      context_.loop.unwatch(counter_.changes());
      again(std::min(next_lap_, context_.clock.now() + kInterval));
    });
  }

  void again(Time when) {
    context_.loop.cancel(timer_);
    timer_ = context_.loop.at(when, [this] {
      if (counter_.changes() >= 0) context_.loop.unwatch(counter_.changes());
      turn();
    });
  }

  int pause() const {
    if (excess_) return kHurriedPause;
    return counter_.only_lap() && counter_.blind() == 0 ? kIdlePause : kPause;
  }

  /// Writing through a mapping tells nobody, but can fill no more than the holes there are.
  bool may_fill_holes() const {
    const DiskLimits& limits = context_.spec.sandbox.disk;
    return limits.bytes > 0 && counter_.holes() > 0 && usage().bytes + counter_.holes() > limits.bytes;
  }

  /// A task above its limit is told so, once a lap over all folders has confirmed it, and has a grace to remove what is
  /// too much; one that takes twice as much as it may has none.
  void judge() {
    const DiskLimits& limits = context_.spec.sandbox.disk;
    const DiskUsage usage = this->usage();
    if (!is_above(usage, limits) && !counter_.overrun()) {
      if (excess_ && excess_->told)
        context_.tell({0, "disk", "", 0, "the sandbox is within its disk limit again: " + describe(usage)});
      excess_.reset();
      return;
    }
    if (!excess_) {
      excess_ = Excess{counter_.laps(), {}};
      counter_.begin_lap();
      return;
    }
    if (counter_.laps() == excess_->laps) return;
    const std::string words = describe_excess(usage);
    const bool far_above = is_above(usage, limits, 2);
    if (!excess_->told) {
      excess_ = Excess{counter_.laps(), context_.clock.now()};
      context_.tell({0, "disk", "", 0,
                     words + (far_above ? ""
                                        : "; the task is ended in " + format_duration(kGrace) +
                                              " unless it has removed enough by then"),
                     disk_details(usage, limits, &counter_, false)});
    }
    if (!far_above && context_.clock.now() < *excess_->told + kGrace) return;
    failed_ = true;
    context_.loop.cancel(timer_);
    context_.tell({0, "disk", "", 0, "", disk_details(usage, limits, &counter_, true)});
    context_.fail_task(words + "; the whole task was ended");
  }

  std::string describe_excess(const DiskUsage& usage) const {
    const DiskLimits& limits = context_.spec.sandbox.disk;
    const std::string most =
        counter_.overrun() && !is_above(usage, limits)
            ? std::to_string(FolderTree::kMaxFolders) + " folders, which are all that can be counted"
            : name_limit(usage, limits);
    return "the sandbox holds " + describe(usage) + ", more than its disk limit of " + most +
           (held_ > 0 ? "; " + format_bytes(held_) + " of it in files that were removed but are still open" : "") +
           name_biggest(counter_);
  }

  WatchContext context_;
  DiskCounter counter_;
  std::optional<Excess> excess_;
  std::uint64_t held_ = 0;
  Time next_lap_{}, next_holes_{};
  EventLoop::TimerId timer_ = 0;
  bool failed_ = false;
};

}  // namespace

std::unique_ptr<Watcher> watch_disk(const WatchContext& context) {
  const DiskLimits& limits = context.spec.sandbox.disk;
  if (limits.bytes == 0 && limits.inodes == 0) return nullptr;
  if (auto quota = ProjectQuota::find(disk_folders(context.spec).front()))
    return std::make_unique<QuotaWatch>(context, std::move(quota).take());
  auto counter = DiskCounter::open(roots_of(context.spec, true));
  if (counter) return std::make_unique<CountingWatch>(context, std::move(counter).take());
  context.tell({0, "disk", "", 0, "the disk limit is not kept: " + counter.error().message()});
  return nullptr;
}

}  // namespace dewar
