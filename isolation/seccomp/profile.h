// Profiles of system calls by name, compiled for the launcher, which only loads them.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "isolation/seccomp/policy.h"
#include "isolation/seccomp/table.h"

namespace dewar {

/// A built-in profile. The kept capabilities open what they stand for.
Policy built_in_policy(Profile profile, std::uint64_t capabilities);

/// Compiles "default", "strict", "unconfined" or the profile file of that absolute path (profile_file.h) to classic
/// BPF, `struct sock_filter[]` as bytes; empty for unconfined. Errors: EINVAL for an unknown name, with the known ones;
/// those of reading and of compiling a file, with its path.
Result<std::string> compile_seccomp(const std::string& profile, std::uint64_t capabilities = 0);

}  // namespace dewar
