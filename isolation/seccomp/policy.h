// A filter of system calls before it is compiled: what a built-in profile and a profile file come to.
#pragma once

#include <linux/seccomp.h>

#include <cerrno>
#include <cstdint>
#include <vector>

namespace dewar {

/// What the kernel does with a call: SECCOMP_RET_* with its data, as the filter returns it.
using Action = std::uint32_t;

constexpr Action refuse_with(int error) { return SECCOMP_RET_ERRNO | static_cast<Action>(error); }

struct ArgTest {
  enum class Op : std::uint8_t {
    kEqual,
    kNotEqual,
    kLess,
    kLessOrEqual,
    kGreater,
    kGreaterOrEqual,
    kMaskedEqual,  ///< (argument & mask) == value
  };
  int argument = 0;  ///< 0 to 5
  Op op = Op::kEqual;
  std::uint64_t value = 0, mask = 0;
  bool low_half = false;  ///< the kernel reads 32 bits of this argument, so no more are looked at
};

/// `action`, if all tests hold.
struct CallRule {
  std::uint32_t number = 0;  ///< as the filter sees it: with bit 30 set for x32
  Action action = 0;
  std::vector<ArgTest> tests = {};
};

/// The rules of one architecture. Of several rules for a number the first that holds counts.
struct ArchRules {
  std::uint32_t arch = 0;  ///< AUDIT_ARCH_*
  bool with_x32 = false;   ///< of x86-64 only; without it x32 calls are another architecture's
  std::vector<CallRule> rules = {};
};

struct Policy {
  Action otherwise = 0;                                  ///< no rule holds
  Action other_architecture = SECCOMP_RET_KILL_PROCESS;  ///< of an architecture that is not in the list
  std::vector<ArchRules> architectures = {};
};

}  // namespace dewar
