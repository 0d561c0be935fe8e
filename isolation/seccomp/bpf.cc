#include "isolation/seccomp/bpf.h"

#include <linux/audit.h>
#include <linux/bpf_common.h>
#include <linux/filter.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>

namespace dewar {
namespace {

using Program = std::vector<sock_filter>;

constexpr std::uint32_t kX32 = 0x40000000;     // __X32_SYSCALL_BIT
constexpr std::uint32_t kNoCall = 0xffffffff;  // what a tracer leaves to skip a call; of no architecture
constexpr std::uint8_t kFails = 255;           // a jump to the next rule, filled in by append_rule()

sock_filter load(std::size_t offset) { return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset)); }
sock_filter answer(Action action) { return BPF_STMT(BPF_RET | BPF_K, action); }
sock_filter skip(std::size_t length) { return BPF_STMT(BPF_JMP | BPF_JA, static_cast<std::uint32_t>(length)); }
sock_filter jump(std::uint16_t test, std::uint32_t value, std::size_t when_true, std::size_t when_false) {
  return BPF_JUMP(static_cast<std::uint16_t>(BPF_JMP | test | BPF_K), value, static_cast<std::uint8_t>(when_true),
                  static_cast<std::uint8_t>(when_false));
}

/// Goes on behind what it appends if the test holds; otherwise jumps to kFails.
void append_test(const ArgTest& test, Program& program) {
  using Op = ArgTest::Op;
  const std::size_t low_half = offsetof(seccomp_data, args) + 8 * static_cast<std::size_t>(test.argument);
  const auto low = static_cast<std::uint32_t>(test.value), high = static_cast<std::uint32_t>(test.value >> 32);
  const auto add = [&](sock_filter op) { program.push_back(op); };
  if (test.op == Op::kMaskedEqual) {
    const auto mask_low = static_cast<std::uint32_t>(test.mask),
               mask_high = static_cast<std::uint32_t>(test.mask >> 32);
    if (!test.low_half && mask_high != 0) {
      add(load(low_half + 4));
      add(BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask_high));
      add(jump(BPF_JEQ, high & mask_high, 0, kFails));
    }
    add(load(low_half));
    add(BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask_low));
    return add(jump(BPF_JEQ, low & mask_low, 0, kFails));
  }
  // The upper half decides, unless it is equal; then the lower one does, two instructions further on.
  if (!test.low_half) {
    add(load(low_half + 4));
    if (test.op == Op::kGreater || test.op == Op::kGreaterOrEqual) add(jump(BPF_JGT, high, 3, 0));
    if (test.op == Op::kLess || test.op == Op::kLessOrEqual) add(jump(BPF_JGT, high, kFails, 0));
    const bool holds_if_unequal = test.op == Op::kNotEqual || test.op == Op::kLess || test.op == Op::kLessOrEqual;
    add(jump(BPF_JEQ, high, 0, holds_if_unequal ? 2 : kFails));
  }
  add(load(low_half));
  switch (test.op) {
    case Op::kEqual:
      return add(jump(BPF_JEQ, low, 0, kFails));
    case Op::kNotEqual:
      return add(jump(BPF_JEQ, low, kFails, 0));
    case Op::kGreater:
      return add(jump(BPF_JGT, low, 0, kFails));
    case Op::kGreaterOrEqual:
      return add(jump(BPF_JGE, low, 0, kFails));
    case Op::kLess:
      return add(jump(BPF_JGE, low, kFails, 0));
    case Op::kLessOrEqual:
      return add(jump(BPF_JGT, low, kFails, 0));
    case Op::kMaskedEqual:
      break;
  }
}

/// At most six tests of six instructions each, so every jump within a rule fits its eight bits.
void append_rule(const CallRule& rule, Program& program) {
  const std::size_t begin = program.size();
  for (const ArgTest& test : rule.tests) append_test(test, program);
  program.push_back(answer(rule.action));
  for (std::size_t at = begin; at < program.size(); ++at) {
    const auto to_next_rule = static_cast<std::uint8_t>(program.size() - at - 1);
    if (program[at].jt == kFails) program[at].jt = to_next_rule;
    if (program[at].jf == kFails) program[at].jf = to_next_rule;
  }
}

/// What is answered to the numbers from `first` up to the next segment.
struct Segment {
  std::uint32_t first;
  std::span<const CallRule* const> tested;  ///< asked in this order
  Action otherwise;
};

/// Sorted by number; the rules of one number keep their order. A segment points into it.
using SortedRules = std::vector<const CallRule*>;

SortedRules sorted_rules(const ArchRules& arch) {
  SortedRules rules;
  rules.reserve(arch.rules.size());
  for (const CallRule& rule : arch.rules) rules.push_back(&rule);
  const auto number = [](const CallRule* rule) { return rule->number; };
  if (!std::ranges::is_sorted(rules, {}, number)) std::ranges::stable_sort(rules, {}, number);
  return rules;
}

std::vector<Segment> segments_of(const ArchRules& arch, const SortedRules& rules, const Policy& policy) {
  std::vector<Segment> segments;
  segments.reserve(rules.size() + 3);
  const auto begin = [&](const Segment& segment) {
    const bool same = !segments.empty() && segments.back().tested.empty() && segment.tested.empty() &&
                      segments.back().otherwise == segment.otherwise;
    if (!same) segments.push_back(segment);
  };
  std::uint32_t next = 0;
  for (auto rule = rules.begin(); rule != rules.end();) {
    const std::uint32_t number = (*rule)->number;
    if (number > next) begin({next, {}, policy.otherwise});
    const auto is_other = [&](const CallRule* one) { return one->number != number; };
    const auto end = std::find_if(rule, rules.end(), is_other);
    const auto plain = std::find_if(rule, end, [](const CallRule* one) { return one->tests.empty(); });
    begin({number, {rule, plain}, plain != end ? (*plain)->action : policy.otherwise});
    next = number + 1;
    rule = end;
  }
  begin({next, {}, policy.otherwise});
  if (arch.arch == AUDIT_ARCH_X86_64 && !arch.with_x32) {
    begin({kX32, {}, policy.other_architecture});
    begin({kNoCall, {}, policy.otherwise});
  }
  return segments;
}

/// A binary tree over the segments. The number is in the accumulator.
void append_tree(std::span<const Segment> segments, Program& program) {
  if (segments.size() == 1) {
    for (const CallRule* rule : segments[0].tested) append_rule(*rule, program);
    return program.push_back(answer(segments[0].otherwise));
  }
  const std::size_t middle = segments.size() / 2, branch = program.size();
  program.emplace_back();  // filled in once the length of what it jumps over is known
  append_tree(segments.first(middle), program);
  const std::size_t below = program.size() - branch - 1;
  const bool is_near = below <= 255;
  program[branch] = jump(BPF_JGE, segments[middle].first, is_near ? below : 0, is_near ? 0 : 1);
  if (!is_near) program.insert(program.begin() + static_cast<std::ptrdiff_t>(branch) + 1, skip(below));
  append_tree(segments.subspan(middle), program);
}

}  // namespace

Result<std::string> compile_bpf(const Policy& policy) {
  Program program = {load(offsetof(seccomp_data, arch))};
  for (const ArchRules& arch : policy.architectures) {
    const SortedRules rules = sorted_rules(arch);
    program.push_back(jump(BPF_JEQ, arch.arch, 1, 0));
    const std::size_t to_next = program.size();
    program.emplace_back();
    program.push_back(load(offsetof(seccomp_data, nr)));
    append_tree(segments_of(arch, rules, policy), program);
    program[to_next] = skip(program.size() - to_next - 1);
  }
  program.push_back(answer(policy.other_architecture));
  if (program.size() > BPF_MAXINSNS)
    return fail(std::errc::argument_list_too_long,
                "compile the filter of system calls: it has " + std::to_string(program.size()) +
                    " instructions, and the kernel takes " + std::to_string(BPF_MAXINSNS));
  std::string bytes(program.size() * sizeof(sock_filter), '\0');
  std::memcpy(bytes.data(), program.data(), bytes.size());
  return bytes;
}

}  // namespace dewar
