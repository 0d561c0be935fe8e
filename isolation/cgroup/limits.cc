// Cgroup's limits: written all or none, read back, and put back.
#include <algorithm>
#include <set>

#include "base/files.h"
#include "isolation/cgroup/cgroup.h"
#include "isolation/cgroup/group_files.h"
#include "isolation/cgroup/stat.h"

namespace dewar {
namespace {

struct Write {
  const Knob* knob;
  std::string folder, file, text;
  std::string old;        ///< what to go back to
  bool if_there = false;  ///< a kernel without the file has nothing to limit
};

Failure refused(const Knob& knob, Error error) {
  const std::string advice = knob_advice(knob, error.code.value());
  error.context.insert(0, std::string(knob.what) + (advice.empty() ? "" : " (" + advice + ")") + ": ");
  return {std::move(error)};
}

bool is_missing(const Error& error) { return error.code == std::errc::no_such_file_or_directory; }

/// What a row has files for: nothing in particular, or each page size that the limits, or also the host, know.
std::set<std::string> keys_of(const Knob& knob, const Limits& limits, bool of_host = true) {
  if (!knob.per_page_size) return {""};
  std::set<std::string> keys;
  for (const auto& [size, limit] : limits.hugetlb) keys.insert(size);
  if (!of_host) return keys;
  if (const auto folders = list_dir("/sys/kernel/mm/hugepages")) {
    for (const std::string& folder : *folders) keys.insert(page_size_name(folder));
  }
  keys.erase("");
  return keys;
}

/// A file whose content is not the usual. What goes with a limit differs too: the period of a quota, the killing of all
/// at once.
bool differs(const Knob& knob, const KnobForm& form, const Limits& limits, const std::string& key) {
  return knob.wanted(limits, key) || form.text(limits, key) != form.text({}, key);
}

/// A v1 group has a list of its own even if it was never asked for one: its parent's.
std::string inherited_cpus(const std::string& folder) {
  auto text = read_file(parent_of(folder) + "/cpuset.cpus");
  std::string list = text ? std::move(text).take() : std::string();
  while (list.ends_with('\n')) list.pop_back();
  return list;
}

/// Adds what there is to write for one file of a knob, with the value to go back to.
Result<void> plan_change(const Knob& knob, CgroupVersion version, const std::string& folder, const std::string& key,
                         const Limits& limits, std::vector<Write>& writes) {
  const KnobForm& form = knob.form(version);
  const std::string file = knob_file(form, key);
  auto old = read_file(folder + "/" + file);
  if (!old && is_missing(old.error()) && !knob.wanted(limits, key)) return {};
  if (!old) return refused(knob, std::move(old).error());
  std::string text = form.text(limits, key);
  std::string before = knob_value(knob, form, *old, limits);
  if (file == "cpuset.cpus" && version == CgroupVersion::kV1) {
    if (text.empty()) text = inherited_cpus(folder);
    if (before.empty()) before = text;  // there is no way back to an empty one
  }
  if (text != before) writes.push_back({&knob, folder, file, std::move(text), std::move(before)});
  return {};
}

Result<void> plan_knob(const Knob& knob, CgroupVersion version, const std::string& folder, const Limits& limits,
                       bool first, std::vector<Write>& writes) {
  const KnobForm& form = knob.form(version);
  for (const std::string& key : keys_of(knob, limits, !first)) {
    if (folder.empty()) {
      if (!knob.wanted(limits, key)) continue;
      return fail(std::errc::not_supported, std::string(knob.what) + ": there is no cgroup controller '" +
                                                knob.controller +
                                                "' for tasks here (dewar doctor tells why): enable or delegate it, or "
                                                "leave the limit out");
    }
    if (form.file == nullptr) continue;
    if (!first) {
      DEWAR_TRY(plan_change(knob, version, folder, key, limits, writes));
    } else if (std::string text = form.text(limits, key); text != form.text({}, key)) {
      writes.push_back({&knob, folder, knob_file(form, key), std::move(text), "", !knob.wanted(limits, key)});
    }
  }
  return {};
}

/// v1 insists that memory and swap together are never below memory alone: when both rise, the sum rises first.
void order_v1_memory(std::vector<Write>& writes, const Limits& limits) {
  const auto sum = std::ranges::find(writes, "memory.memsw.limit_in_bytes", &Write::file);
  const auto memory = std::ranges::find(writes, "memory.limit_in_bytes", &Write::file);
  if (sum == writes.end() || memory == writes.end()) return;
  const std::uint64_t old_sum = parse_limit(sum->old);
  if (old_sum != 0 && (limits.memory == 0 || limits.memory > old_sum)) std::iter_swap(sum, memory);
}

/// An empty write(2) would write nothing.
Result<void> write_text(const Write& write, const std::string& text) {
  return write_group_file(write.folder, write.file, text.empty() ? "\n" : text);
}

Result<void> write_all_or_none(const std::vector<Write>& writes) {
  for (auto write = writes.begin(); write != writes.end(); ++write) {
    auto written = write_text(*write, write->text);
    if (written || (write->if_there && is_missing(written.error()))) continue;
    const Knob& knob = *write->knob;
    while (write != writes.begin()) {
      --write;
      (void)write_text(*write, write->old);
    }
    return refused(knob, std::move(written).error());
  }
  return {};
}

/// To get below a new limit cgroup2 kills, where v1 refuses. So what can be given back is asked for first, and what is
/// in use then is refused here as well.
Result<void> make_room(const std::vector<Write>& writes) {
  const auto lowered = std::ranges::find(writes, "memory.max", &Write::file);
  if (lowered == writes.end()) return {};
  const std::uint64_t limit = parse_limit(lowered->text);
  const auto used = [&] {
    const auto text = read_file(lowered->folder + "/memory.current");
    return text ? parse_limit(*text) : 0;
  };
  if (limit == 0 || used() <= limit) return {};
  (void)write_group_file(lowered->folder, "memory.reclaim", std::to_string(used() - limit));  // since Linux 5.19
  if (used() <= limit) return {};
  return refused(*lowered->knob, {std::make_error_code(std::errc::device_or_resource_busy),
                                  lowered->folder + "/memory.max: " + lowered->text});
}

std::string quoted(const std::string& text) { return text.empty() ? "empty" : "'" + text + "'"; }

}  // namespace

Result<std::vector<std::string>> Cgroup::write_limits(const Limits& limits, bool first) {
  if (!limits.cpuset.empty()) {
    const auto online = read_file("/sys/devices/system/cpu/online");
    if (online) DEWAR_TRY(check_cpuset(limits.cpuset, *online));
  }
  std::vector<Write> writes;
  for (const Knob& knob : knobs()) {
    const Place place = place_of(knob.controller);
    DEWAR_TRY(plan_knob(knob, place.version, place.folder, limits, first, writes));
  }
  order_v1_memory(writes, limits);
  DEWAR_TRY(make_room(writes));
  DEWAR_TRY(write_all_or_none(writes));
  std::vector<std::string> changes;
  for (const Write& write : writes)
    changes.push_back(write.file + " was " + quoted(write.old) + " instead of " + quoted(write.text));
  return changes;
}

Result<void> Cgroup::set(const Limits& limits) {
  DEWAR_TRY(write_limits(limits));
  return {};
}

Result<void> Cgroup::set_first(const Limits& limits) {
  DEWAR_TRY(write_limits(limits, true));
  return {};
}

Result<std::vector<std::string>> Cgroup::put_back(const Limits& limits) { return write_limits(limits); }

std::vector<Cgroup::LimitFile> Cgroup::limit_files(const Limits& limits) const {
  std::vector<LimitFile> files;
  for (const Knob& knob : knobs()) {
    const Place place = place_of(knob.controller);
    const KnobForm& form = knob.form(place.version);
    if (place.folder.empty() || form.file == nullptr) continue;
    for (const std::string& key : keys_of(knob, limits, false)) {
      std::string path = place.folder + "/" + knob_file(form, key);
      if (!differs(knob, form, limits, key)) continue;
      if (auto text = read_file(path)) files.push_back({std::move(path), std::move(text).take()});
    }
  }
  return files;
}

Result<Limits> Cgroup::limits(const Limits* made_with) const {
  Limits limits;
  for (const Knob& knob : knobs()) {
    const Place place = place_of(knob.controller);
    const KnobForm& form = knob.form(place.version);
    if (place.folder.empty() || form.file == nullptr) continue;
    for (const std::string& key : made_with != nullptr ? keys_of(knob, *made_with, false) : keys_of(knob, limits)) {
      if (made_with != nullptr && !differs(knob, form, *made_with, key)) continue;
      const auto text = read_file(place.folder + "/" + knob_file(form, key));
      if (text) {
        form.read(*text, limits, key);
      } else if (!is_missing(text.error()) || !exists(place.folder)) {
        return Failure{text.error()};
      }
    }
  }
  const Place cpuset = place_of("cpuset");
  if (!limits.cpuset.empty() && cpuset.version == CgroupVersion::kV1 && limits.cpuset == inherited_cpus(cpuset.folder))
    limits.cpuset.clear();
  return limits;
}

}  // namespace dewar
