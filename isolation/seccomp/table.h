// The built-in profiles of system calls as a table: what profile.cc compiles and the tests walk.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace dewar {

enum class Profile : std::uint8_t {
  kDefault,  ///< what ordinary programs use, compilers and debuggers among them
  kStrict,   ///< what a plain service uses
};

enum class Verdict : std::uint8_t {
  kAllowed,
  kForbidden,  ///< EPERM: it exists, but not for a task
  kAbsent,     ///< ENOSYS, as everything that the table does not name
};

struct SyscallRule {
  int number;  ///< on x86-64
  const char* name;
  Verdict in_default, in_strict;
  std::uint64_t opened_by;  ///< bit n: a task that keeps capability n may make it
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

Verdict verdict_of(const SyscallRule& rule, Profile profile, std::uint64_t capabilities);

/// At most one for a call.
std::vector<Condition> conditions(Profile profile, std::uint64_t capabilities);

/// The number of a call on x86-64, or -1 if the table does not name it.
int number_of(std::string_view name);

}  // namespace dewar
