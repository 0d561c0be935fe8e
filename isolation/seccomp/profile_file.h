// Profile files: the JSON in which Docker, containerd, Podman and Mesos keep a filter of system calls
// (https://docs.docker.com/engine/security/seccomp, docs/task-file.md).
#pragma once

#include <compare>
#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "isolation/seccomp/policy.h"

namespace dewar {

struct KernelVersion {
  int major = 0, minor = 0;
  friend auto operator<=>(const KernelVersion&, const KernelVersion&) = default;  // NOLINT(modernize-use-nullptr)
};
KernelVersion running_kernel();

/// What a profile's `includes` and `excludes` ask about.
struct ProfileContext {
  std::uint64_t capabilities = 0;  ///< the kept ones
  KernelVersion kernel;
};

/// Reads a profile for x86-64, and for i386 and x32 where it names them. Pure. Of several rules for a call those with
/// `args` come before those without, in the order of the file. Names of calls that neither we nor libseccomp know are
/// passed over where a rule allows (other machines' calls), and an error where it forbids. Errors: words that name the
/// place in the file (`syscalls[3].args[0].op`) and what is wrong there; unknown keys are errors.
Result<Policy> parse_profile(std::string_view text, const ProfileContext& context);

}  // namespace dewar
