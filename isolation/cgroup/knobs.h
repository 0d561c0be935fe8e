// The one table of limits: which controller holds a knob, what its file is called in cgroup v1 and v2, and how our
// units become the kernel's and back. Pure: text in, text out. Sources: the kernel's admin-guide/cgroup-v2.rst and
// admin-guide/cgroup-v1/.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "isolation/sandbox_spec.h"

namespace dewar {

enum class CgroupVersion : std::uint8_t { kV1, kV2 };

/// Tells apart what one row has several files for: a page size, "2MB". Empty for all other rows.
using KnobKey = const std::string&;

/// How a knob is spelled in one version. `file` is null where the version has no such knob; a '*' in it stands for the
/// key.
struct KnobForm {
  const char* file;
  std::string (*text)(const Limits&, KnobKey);               ///< what to write for these limits
  void (*read)(std::string_view text, Limits& to, KnobKey);  ///< the other way; rows are read in the table's order
};

struct Knob {
  const char* what;                        ///< for errors: "limiting memory"
  const char* controller;                  ///< as cgroup2 calls it: "memory"
  bool (*wanted)(const Limits&, KnobKey);  ///< the limits ask for it: then a host that lacks it is an error
  KnobForm v1, v2;
  bool per_device = false;  ///< the file has a line for each device
  bool per_page_size = false;

  const KnobForm& form(CgroupVersion version) const { return version == CgroupVersion::kV1 ? v1 : v2; }
};

/// Every knob. The swap limit comes after the memory limit on which it builds.
std::span<const Knob> knobs();

/// "memory" -> "memory"; "io" -> "blkio".
std::string_view v1_controller(std::string_view controller);

/// The name of the file for `key`.
std::string knob_file(const KnobForm& form, KnobKey key);

/// What a knob's file says, spelled as text() would: without the newline, a number that means no limit in its word, and
/// only the line of the device that `limits` are for (what there is no line for has no limit).
std::string knob_value(const Knob& knob, const KnobForm& form, std::string_view content, const Limits& limits);

/// What to do about `error` (an errno) when `text` could not be written to the knob; empty when we know nothing better.
std::string knob_advice(const Knob& knob, int error);

/// "hugepages-2048kB" (a folder in /sys/kernel/mm/hugepages) -> "2MB", as cgroups spell it; empty for other names.
std::string page_size_name(std::string_view folder);

/// Every processor of `wanted` is in `online` (lists as in base/cpu_list.h). Errors: words that name those that are
/// not.
Result<void> check_cpuset(const std::string& wanted, const std::string& online);

}  // namespace dewar
