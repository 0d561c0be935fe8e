// The one table of limits: which controller holds a knob, what its file is called in cgroup v1 and v2, and how our
// units become the kernel's and back. Pure: text in, text out.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "isolation/sandbox_spec.h"

namespace dewar {

enum class CgroupVersion : std::uint8_t { kV1, kV2 };

/// How a knob is spelled in one version. `file` is null where the version has no such knob.
struct KnobForm {
  const char* file;
  std::string (*text)(const Limits&);               ///< what to write for these limits
  void (*read)(std::string_view text, Limits& to);  ///< the other way; rows are read in the table's order
};

struct Knob {
  const char* what;               ///< for errors: "limiting memory"
  const char* controller;         ///< "memory"
  bool (*wanted)(const Limits&);  ///< the limits ask for it: then a host that lacks it is an error
  KnobForm v1, v2;

  const KnobForm& form(CgroupVersion version) const { return version == CgroupVersion::kV1 ? v1 : v2; }
};

/// Every knob. The swap limit comes after the memory limit on which it builds.
const std::array<Knob, 6>& knobs();

/// What to do about `error` (an errno) when `text` could not be written to the knob; empty when we know nothing better.
std::string knob_advice(const Knob& knob, int error);

}  // namespace dewar
