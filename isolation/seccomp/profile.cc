#include "isolation/seccomp/profile.h"

#include <linux/audit.h>

#include <algorithm>

#include "base/files.h"
#include "isolation/seccomp/bpf.h"
#include "isolation/seccomp/profile_file.h"

namespace dewar {
namespace {

constexpr std::size_t kLargestFile = 1u << 20;

Action action_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::kAllowed:
      return SECCOMP_RET_ALLOW;
    case Verdict::kForbidden:
      return refuse_with(EPERM);
    case Verdict::kAbsent:
      break;
  }
  return refuse_with(ENOSYS);
}

void add_condition(const Condition& condition, std::vector<CallRule>& rules) {
  const auto number = static_cast<std::uint32_t>(condition.number);
  using Test = Condition::Test;
  const bool match_allows = condition.test != Test::kIsOneOf;
  for (const std::uint32_t value : condition.values) {
    ArgTest test{.argument = condition.argument, .value = value, .low_half = true};
    if (condition.test == Test::kHasAnyBit) {
      test.op = ArgTest::Op::kMaskedEqual;
      test.mask = value;
      test.value = 0;
    }
    rules.push_back({number, match_allows ? SECCOMP_RET_ALLOW : refuse_with(EPERM), {test}});
  }
  rules.push_back({number, match_allows ? refuse_with(EPERM) : SECCOMP_RET_ALLOW});
}

}  // namespace

Policy built_in_policy(Profile profile, std::uint64_t capabilities) {
  ArchRules native{.arch = AUDIT_ARCH_X86_64};
  native.rules.reserve(syscall_rules().size() + 50);  // and the conditions
  const std::vector<Condition> list = conditions(profile, capabilities);
  for (const SyscallRule& rule : syscall_rules()) {
    const auto condition = std::ranges::find(list, rule.number, &Condition::number);
    if (condition != list.end()) add_condition(*condition, native.rules);
    native.rules.push_back(
        {static_cast<std::uint32_t>(rule.number), action_of(verdict_of(rule, profile, capabilities))});
  }
  // A 32-bit (i386) or x32 call ends the whole process: their numbers mean other things, and answering all with ENOSYS
  // would leave a program that cannot even exit.
  return {.otherwise = refuse_with(ENOSYS), .architectures = {std::move(native)}};
}

Result<std::string> compile_seccomp(const std::string& profile, std::uint64_t capabilities) {
  if (profile == "unconfined") return std::string();
  if (profile == "default") return compile_bpf(built_in_policy(Profile::kDefault, capabilities));
  if (profile == "strict") return compile_bpf(built_in_policy(Profile::kStrict, capabilities));
  if (!profile.starts_with('/'))
    return fail(std::errc::invalid_argument,
                "seccomp profile '" + profile +
                    "' (there are 'default', 'strict', 'unconfined', and absolute paths of profile files)");
  const std::string text = DEWAR_TRY(read_file(profile, kLargestFile).context("read the seccomp profile"));
  const Policy policy =
      DEWAR_TRY(parse_profile(text, {capabilities, running_kernel()}).context("seccomp profile " + profile));
  return compile_bpf(policy).context("seccomp profile " + profile);
}

}  // namespace dewar
