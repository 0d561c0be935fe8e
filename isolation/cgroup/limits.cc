// Cgroup's limits: written all or none, and read back.
#include <algorithm>
#include <functional>

#include "base/files.h"
#include "isolation/cgroup/cgroup.h"
#include "isolation/cgroup/members.h"
#include "isolation/cgroup/stat.h"

namespace dewar {
namespace {

struct Write {
  const Knob* knob;
  std::string folder, file, text, old;
};

Failure refused(const Knob& knob, Error error) {
  const std::string advice = knob_advice(knob, error.code.value());
  error.context.insert(0, std::string(knob.what) + (advice.empty() ? "" : " (" + advice + ")") + ": ");
  return {std::move(error)};
}

bool is_missing(const Error& error) { return error.code == std::errc::no_such_file_or_directory; }

/// Adds what there is to write for one knob, with the value to go back to.
Result<void> plan_knob(const Knob& knob, CgroupVersion version, const std::string& folder, const Limits& limits,
                       std::vector<Write>& writes) {
  if (folder.empty()) {
    if (!knob.wanted(limits)) return {};
    return fail(std::errc::not_supported, std::string(knob.what) + ": this host has no cgroup controller '" +
                                              knob.controller +
                                              "' (see /proc/cgroups): enable it or leave the limit out");
  }
  const KnobForm& form = knob.form(version);
  if (form.file == nullptr) return {};
  auto old = read_file(folder + "/" + form.file);
  if (!old && is_missing(old.error()) && !knob.wanted(limits)) return {};
  if (!old) return refused(knob, std::move(old).error());
  std::string before = std::move(old).take();
  while (before.ends_with('\n')) before.pop_back();
  writes.push_back({&knob, folder, form.file, form.text(limits), std::move(before)});
  return {};
}

/// v1 insists that memory and swap together are never below memory alone: when both rise, the sum rises first.
void order_v1_memory(std::vector<Write>& writes, const Limits& limits) {
  const auto sum = std::ranges::find(writes, "memory.memsw.limit_in_bytes", &Write::file);
  if (sum == writes.end() || sum == writes.begin()) return;
  const std::uint64_t old_sum = parse_limit(sum->old);
  if (old_sum != 0 && (limits.memory == 0 || limits.memory > old_sum)) std::iter_swap(sum, sum - 1);
}

}  // namespace

Result<void> Cgroup::set(const Limits& limits) {
  std::vector<Write> writes;
  for (const Knob& knob : knobs()) {
    const Place place = place_of(knob.controller);
    DEWAR_TRY(plan_knob(knob, place.version, place.folder, limits, writes));
  }
  order_v1_memory(writes, limits);
  for (auto write = writes.begin(); write != writes.end(); ++write) {
    if (write->text == write->old) continue;
    auto written = write_group_file(write->folder, write->file, write->text);
    if (written) continue;
    const Knob& knob = *write->knob;
    while (write != writes.begin()) {
      --write;
      (void)write_group_file(write->folder, write->file, write->old);
    }
    return refused(knob, std::move(written).error());
  }
  return {};
}

Result<Limits> Cgroup::limits() const {
  Limits limits;
  for (const Knob& knob : knobs()) {
    const Place place = place_of(knob.controller);
    const KnobForm& form = knob.form(place.version);
    if (place.folder.empty() || form.file == nullptr) continue;
    const auto text = read_file(place.folder + "/" + form.file);
    if (text) {
      form.read(*text, limits);
    } else if (!is_missing(text.error()) || !exists(place.folder)) {
      return Failure{text.error()};
    }
  }
  return limits;
}

}  // namespace dewar
