#include "isolation/seccomp/profile.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <memory>
#include <vector>

#include "base/files.h"
#include "isolation/seccomp/table.h"

namespace dewar {
namespace {

using Program = std::vector<sock_filter>;

Failure libseccomp_failed(const std::string& doing, int error) {
  return fail({-error, std::generic_category()}, "compile the seccomp profile: " + doing);
}

sock_filter load(std::size_t offset) { return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset)); }

sock_filter jump(std::uint16_t test, std::uint32_t value, std::size_t when_true, std::size_t when_false) {
  return BPF_JUMP(static_cast<std::uint16_t>(BPF_JMP | test | BPF_K), value, static_cast<std::uint8_t>(when_true),
                  static_cast<std::uint8_t>(when_false));
}

/// One condition: passes on to what follows it, or returns EPERM. Leaves the call's number in the accumulator.
void append_condition(const Condition& condition, Program& program) {
  const std::size_t number_of_tests = condition.values.size();
  const std::size_t low_half = offsetof(seccomp_data, args) + 8 * static_cast<std::size_t>(condition.argument);
  const bool forbids_match = condition.test != Condition::Test::kIsNoneOf;
  const std::uint16_t test = condition.test == Condition::Test::kHasAnyBit ? BPF_JSET : BPF_JEQ;
  // number? no: past all of this. The tests jump to the EPERM behind them, or past it.
  program.push_back(jump(BPF_JEQ, static_cast<std::uint32_t>(condition.number), 0, number_of_tests + 3));
  program.push_back(load(low_half));
  for (std::size_t i = 0; i < number_of_tests; ++i) {
    const std::size_t to_eperm = number_of_tests - 1 - i, past_eperm = to_eperm + 1;
    const bool last = i + 1 == number_of_tests;
    if (forbids_match) {
      program.push_back(jump(test, condition.values[i], to_eperm, last ? past_eperm : 0));
    } else {
      program.push_back(jump(test, condition.values[i], past_eperm, 0));
    }
  }
  program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM));
  program.push_back(load(offsetof(seccomp_data, nr)));
}

/// The conditions, to be run in front of the table: libseccomp cannot say "forbid these values and allow all others" of
/// the lower half of an argument. Other architectures' calls fall through; what comes next deals with them.
Program conditions() {
  Program program;
  for (const Condition& condition : syscall_conditions()) append_condition(condition, program);
  const std::size_t length = program.size();
  const Program prologue = {load(offsetof(seccomp_data, arch)), jump(BPF_JEQ, AUDIT_ARCH_X86_64, 0, length + 1),
                            load(offsetof(seccomp_data, nr))};
  program.insert(program.begin(), prologue.begin(), prologue.end());
  return program;
}

Result<std::string> export_bpf(scmp_filter_ctx filter) {
  const UniqueFd memory(::memfd_create("seccomp", MFD_CLOEXEC));
  if (!memory) return fail_errno("compile the seccomp profile: make a memory file");
  if (const int error = seccomp_export_bpf(filter, memory.get()); error != 0) return libseccomp_failed("export", error);
  if (::lseek(memory.get(), 0, SEEK_SET) != 0) return fail_errno("compile the seccomp profile: rewind");
  return read_all(memory.get(), "the compiled seccomp profile");
}

/// The table, through libseccomp. A 32-bit (i386) or x32 call ends the whole process: their numbers mean other things,
/// and answering all with ENOSYS would leave a program that cannot even exit.
Result<std::string> compile_table() {
  const auto release = [](void* filter) { seccomp_release(filter); };
  const std::unique_ptr<void, decltype(release)> filter(seccomp_init(SCMP_ACT_ERRNO(ENOSYS)), release);
  if (!filter) return fail(std::errc::not_enough_memory, "compile the seccomp profile");
  // 2: a binary tree over the numbers instead of a list of some 300 comparisons.
  for (const auto& [attribute, value] : {std::pair{SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS},
                                         std::pair{SCMP_FLTATR_CTL_OPTIMIZE, std::uint32_t{2}}}) {
    if (const int error = seccomp_attr_set(filter.get(), attribute, value); error != 0)
      return libseccomp_failed("set its options", error);
  }
  for (const SyscallRule& rule : syscall_rules()) {
    if (rule.verdict == Verdict::kAbsent) continue;  // the default
    // By number: the library knows no names younger than itself.
    const std::uint32_t action = rule.verdict == Verdict::kAllowed ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM);
    if (const int error = seccomp_rule_add(filter.get(), action, rule.number, 0); error != 0)
      return libseccomp_failed(rule.name, error);
  }
  return export_bpf(filter.get());
}

}  // namespace

Result<std::string> compile_seccomp(std::string_view profile) {
  if (profile == "unconfined") return std::string();
  if (profile != "default")
    return fail(std::errc::invalid_argument,
                "seccomp profile '" + std::string(profile) + "' (there are 'default' and 'unconfined')");
  const Program first = conditions();
  std::string bytes(first.size() * sizeof(sock_filter), '\0');
  std::memcpy(bytes.data(), first.data(), bytes.size());
  return bytes + DEWAR_TRY(compile_table());
}

}  // namespace dewar
