// The default system-call filter as a table: what compile_seccomp() compiles and the tests walk.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace dewar {

enum class Verdict : std::uint8_t {
  kAllowed,
  kForbidden,  ///< EPERM: it exists, but not for a task
  kAbsent,     ///< ENOSYS, as everything that the table does not name
};

struct SyscallRule {
  int number;  ///< on x86-64
  const char* name;
  Verdict verdict;
};

/// An allowed call is forbidden after all (EPERM) if its argument is so. The kernel reads these arguments as 32 bits,
/// so only those are looked at: rubbish above them does not help to slip through.
struct Condition {
  enum class Test : std::uint8_t {
    kHasAnyBit,  ///< of values[0]
    kIsOneOf,    ///< the values
    kIsNoneOf,   ///< of the values
  };
  int number;
  int argument;  ///< 0 to 5
  Test test;
  std::vector<std::uint32_t> values;
};

/// Sorted by number.
std::span<const SyscallRule> syscall_rules();
const std::vector<Condition>& syscall_conditions();

}  // namespace dewar
