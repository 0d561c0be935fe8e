#include "thermos/runner/limits_watch.h"

#include <algorithm>

#include "base/cgroup_members.h"
#include "base/files.h"

namespace dewar {
namespace {

constexpr int kBetweenLooks = 5, kBetweenWholeLooks = 60;  // seconds
constexpr std::size_t kMostLookedAt = 256;                 // processes of one leaf

/// How many of the hierarchies in /proc/<pid>/cgroup have the process in a group of this container.
int groups_of(pid_t pid, const std::string& container_id) {
  const auto text = read_file("/proc/" + std::to_string(pid) + "/cgroup");
  int count = 0;
  const std::string name = "/" + container_id;
  for (std::size_t at = text ? text->find(name) : std::string::npos; at != std::string::npos;
       at = text->find(name, at + 1))
    ++count;
  return count;
}

}  // namespace

LimitsWatch::LimitsWatch(const WatchContext& context) : context_(context) {
  // An earlier runner may have died between writing a change down and making it; and a container made anew after a
  // reboot has the limits of the task file.
  if (auto written = read_limits(context_.spec.run_folder)) {
    limits_ = std::move(written).take();
    if (auto set = context_.container.update(limits_); !set) tell(set.error().message());
  } else if (auto set = context_.container.cgroup().limits(&context_.spec.sandbox.limits)) {
    limits_ = std::move(set).take();
    if (auto noted = write_limits(context_.spec.run_folder, limits_); !noted) tell(noted.error().message());
  }
}

Result<void> LimitsWatch::change(const std::string& words) {
  Limits wanted = limits_;
  DEWAR_TRY(read_limits_text(words, wanted));
  // Written down first: a runner that dies in between is followed by one that finishes the change.
  DEWAR_TRY(write_limits(context_.spec.run_folder, wanted));
  if (auto changed = context_.container.update(wanted); !changed) {
    (void)write_limits(context_.spec.run_folder, limits_);
    return changed;
  }
  files_.reset();
  limits_ = DEWAR_TRY(context_.container.cgroup().limits());
  if (limits_.io.device.empty()) limits_.io.device = wanted.io.device;
  context_.tell({0, "limits", "", 0, "the limits were changed on request: " + words, {{"change", words}}});
  return write_limits(context_.spec.run_folder, limits_);
}

void LimitsWatch::run_ended(const std::string&, const Usage& used) {
  tell_refused_forks(used);
  tell_refused_huge_pages();
}

void LimitsWatch::each_second(const Usage& task) {
  tell_refused_forks(task);
  if (++seconds_ % kBetweenLooks != 0) return;
  if (seconds_ % kBetweenWholeLooks == 0 || somebody_changed()) put_back();
  find_strays();
  tell_if_frozen();
  tell_refused_huge_pages();
}

bool LimitsWatch::somebody_changed() const {
  const auto as_it_was = [](const Cgroup::LimitFile& file) {
    const auto text = read_file(file.path);
    return text && *text == file.content;
  };
  return !files_ || !std::ranges::all_of(*files_, as_it_was);
}

void LimitsWatch::put_back() {
  Cgroup& group = context_.container.cgroup();
  if (const std::string missing = group.missing_folder(); !missing.empty()) return group_is_gone(missing);
  const auto changes = group.put_back(limits_);
  if (!changes) {
    if (changes.error().message() != trouble_) tell("the limits cannot be put back: " + changes.error().message());
    trouble_ = changes.error().message();
    return;
  }
  trouble_.clear();
  files_ = group.limit_files(limits_);
  std::string words;
  for (const std::string& change : *changes) words += (words.empty() ? "" : ", ") + change;
  if (!words.empty()) tell("somebody else changed the task's limits: " + words + "; they were put back");
}

void LimitsWatch::group_is_gone(const std::string& folder) {
  context_.tell({0, "limits", "", 0, "", {{"cause", "cgroup-removed"}, {"ends", "task"}, {"folder", folder}}});
  context_.fail_task("the task's cgroup " + folder +
                     " was removed by somebody else, so its limits do not hold any more");
}

/// A process can be moved out of its group only by the host's root; it is told, not moved back: the pid might be
/// somebody else's by then.
void LimitsWatch::find_strays() {
  const Cgroup& task = context_.container.cgroup();
  const int whole = task.hierarchies();
  const auto look_at = [&](pid_t pid) {
    if (strays_.contains(pid) || groups_of(pid, context_.spec.container_id) >= whole) return;
    if (!exists("/proc/" + std::to_string(pid))) return;  // has just ended
    strays_.insert(pid);
    tell("process " + std::to_string(pid) +
         " was moved out of the task's cgroup by somebody else: " + "the task's limits do not hold for it");
  };
  const auto here = members(task.sweep_folder());
  if (!here) return;
  const pid_t init = context_.container.init_id().pid;
  if (std::ranges::find(*here, init) == here->end() && !has_ended(context_.container.init())) look_at(init);
  for (std::size_t i = 0; i < std::min(here->size(), kMostLookedAt); ++i) look_at((*here)[i]);
}

void LimitsWatch::tell_if_frozen() {
  const bool frozen = context_.container.cgroup().is_frozen();
  if (frozen != frozen_)
    tell(frozen ? "the task was frozen by somebody else (cgroup.freeze)" : "the task is no longer frozen");
  frozen_ = frozen;
}

void LimitsWatch::tell_refused_forks(const Usage& used) {
  if (forks_told_ || used.forks_refused.value_or(0) == 0) return;
  forks_told_ = true;
  context_.tell(
      {0,
       "limits",
       "",
       0,
       "the limit of " + std::to_string(limits_.pids) + " processes and threads was reached, and a fork was refused",
       {{"cause", "pids"}, {"limit", std::to_string(limits_.pids)}, {"refused", std::to_string(*used.forks_refused)}}});
}

void LimitsWatch::tell_refused_huge_pages() {
  if (huge_pages_told_ || limits_.hugetlb.empty() || context_.container.cgroup().huge_pages_refused() == 0) return;
  huge_pages_told_ = true;
  tell("the limit of huge pages was reached, and memory was refused");
}

}  // namespace dewar
