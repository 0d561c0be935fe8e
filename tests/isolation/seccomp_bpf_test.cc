// The compiler of filters against a reader of policies that does it the plain way.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "isolation/seccomp/bpf.h"
#include "tests/isolation/filter_machine.h"

namespace dewar {
namespace {

using Op = ArgTest::Op;

bool holds(const ArgTest& test, std::uint64_t argument) {
  if (test.low_half) argument &= 0xffffffff;
  switch (test.op) {
    case Op::kEqual:
      return argument == test.value;
    case Op::kNotEqual:
      return argument != test.value;
    case Op::kLess:
      return argument < test.value;
    case Op::kLessOrEqual:
      return argument <= test.value;
    case Op::kGreater:
      return argument > test.value;
    case Op::kGreaterOrEqual:
      return argument >= test.value;
    case Op::kMaskedEqual:
      return (argument & test.mask) == test.value;
  }
  return false;
}

Action plainly(const Policy& policy, std::uint32_t number, const std::vector<std::uint64_t>& arguments,
               std::uint32_t arch) {
  for (const ArchRules& rules : policy.architectures) {
    if (rules.arch != arch) continue;
    const bool is_x32 = arch == AUDIT_ARCH_X86_64 && number >= 0x40000000 && number != 0xffffffff;
    if (is_x32 && !rules.with_x32) return policy.other_architecture;
    for (const CallRule& rule : rules.rules) {
      const bool all = std::ranges::all_of(rule.tests, [&](const ArgTest& test) {
        return holds(test, arguments[static_cast<std::size_t>(test.argument)]);
      });
      if (rule.number == number && all) return rule.action;
    }
    return policy.otherwise;
  }
  return policy.other_architecture;
}

Policy random_policy(std::mt19937& dice, std::uint32_t numbers) {
  const auto roll = [&](std::uint32_t sides) { return static_cast<std::uint32_t>(dice() % sides); };
  constexpr std::uint64_t kValues[] = {0, 1, 40, 0x7e020000, 0xffffffff, 0x100000000, 0x1000000028, ~std::uint64_t{0}};
  const Action actions[] = {SECCOMP_RET_ALLOW, refuse_with(EPERM), refuse_with(ENOSYS), SECCOMP_RET_TRAP};
  Policy policy{.otherwise = refuse_with(ENOSYS)};
  for (const std::uint32_t arch : std::initializer_list<std::uint32_t>{AUDIT_ARCH_X86_64, AUDIT_ARCH_I386}) {
    ArchRules rules{.arch = arch, .with_x32 = roll(2) == 0};
    for (std::uint32_t count = roll(numbers * 2); count > 0; --count) {
      CallRule rule{.number = roll(numbers), .action = actions[roll(4)]};
      if (arch == AUDIT_ARCH_X86_64 && rules.with_x32 && roll(2) == 0) rule.number |= 0x40000000;
      for (int argument = 0; argument < 6; ++argument) {
        if (roll(6) != 0) continue;
        ArgTest test{.argument = argument, .op = static_cast<Op>(roll(7)), .value = kValues[roll(8)]};
        test.low_half = test.value >> 32 == 0 && roll(2) == 0;
        if (test.op == Op::kMaskedEqual) test.mask = test.value, test.value &= kValues[roll(8)];
        rule.tests.push_back(test);
      }
      rules.rules.push_back(rule);
    }
    policy.architectures.push_back(std::move(rules));
  }
  return policy;
}

TEST(SeccompBpf, AnswersAsThePolicySays) {
  std::mt19937 dice(1);
  constexpr std::uint64_t kEdges[] = {0,          1,          39,          40,           41,
                                      0x7e020000, 0xffffffff, 0x100000000, 0x1000000028, ~std::uint64_t{0}};
  for (int round = 0; round < 300; ++round) {
    const std::uint32_t numbers = round % 3 == 0 ? 5 : 100;
    const Policy policy = random_policy(dice, numbers);
    const auto bytes = compile_bpf(policy);
    if (!bytes) continue;  // too long, which is another test
    const FilterMachine machine(*bytes);
    for (int call = 0; call < 400; ++call) {
      std::uint32_t number = static_cast<std::uint32_t>(dice()) % (numbers + 2);
      if (dice() % 4 == 0) number |= 0x40000000;
      if (dice() % 50 == 0) number = 0xffffffff;
      std::vector<std::uint64_t> arguments;
      for (int i = 0; i < 6; ++i) arguments.push_back(kEdges[dice() % std::size(kEdges)]);
      const std::uint32_t archs[] = {AUDIT_ARCH_X86_64, AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64};
      const std::uint32_t arch = archs[dice() % 3];
      ASSERT_EQ(machine.answer(number, arguments, arch), plainly(policy, number, arguments, arch))
          << "round " << round << " number " << number << " arch " << arch;
    }
  }
}

TEST(SeccompBpf, AnEmptyPolicyAnswersTheSameToAll) {
  const Policy policy{.otherwise = refuse_with(ENOSYS), .architectures = {{.arch = AUDIT_ARCH_X86_64}}};
  const FilterMachine machine(compile_bpf(policy).take());
  EXPECT_EQ(machine.answer(0), refuse_with(ENOSYS));
  EXPECT_EQ(machine.answer(0x40000000), SECCOMP_RET_KILL_PROCESS);
  EXPECT_EQ(machine.answer(0, {}, AUDIT_ARCH_I386), SECCOMP_RET_KILL_PROCESS);
}

TEST(SeccompBpf, AProgramTheKernelWouldNotTakeIsAnError) {
  Policy policy{.otherwise = SECCOMP_RET_ALLOW, .architectures = {{.arch = AUDIT_ARCH_X86_64}}};
  for (std::uint32_t i = 0; i < 3000; ++i) policy.architectures[0].rules.push_back({i * 2, refuse_with(EPERM)});
  const auto compiled = compile_bpf(policy);
  ASSERT_FALSE(compiled);
  EXPECT_EQ(compiled.error().code, std::errc::argument_list_too_long);
  EXPECT_THAT(compiled.error().message(), ::testing::HasSubstr("the kernel takes 4096"));
}

TEST(SeccompBpf, TheTreeIsShallow) {
  // Every other number is refused: 400 leaves, nine levels, and what stands around them.
  Policy policy{.otherwise = SECCOMP_RET_ALLOW, .architectures = {{.arch = AUDIT_ARCH_X86_64}}};
  for (std::uint32_t i = 0; i < 200; ++i) policy.architectures[0].rules.push_back({i * 2, refuse_with(EPERM)});
  const FilterMachine machine(compile_bpf(policy).take());
  for (std::uint32_t i = 0; i < 400; ++i) {
    machine.answer(i);
    EXPECT_LE(machine.steps(), 25u) << i;
  }
}

}  // namespace
}  // namespace dewar
