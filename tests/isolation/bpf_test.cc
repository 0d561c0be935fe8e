#include "isolation/bpf.h"

#include <gtest/gtest.h>

#include "tests/isolation/bpf_machine.h"

namespace dewar {
namespace {

TEST(BpfAssembler, JumpsAndMasksAsWritten) {
  struct Context {
    std::uint32_t first, second;
  };
  BpfAssembler code;
  const auto high = code.make_label(), refuse = code.make_label();
  code.load(2, 1, offsetof(Context, first), 4).copy(3, 2).bit_and(3, 0xffff).shift_right(2, 16);
  code.jump_if_equal(3, 7, high).jump(refuse);
  code.place(high).jump_unless_equal(2, 0x8000, refuse).answer(1);
  code.place(refuse).answer(0);
  const auto program = code.take();
  ASSERT_TRUE(program) << program.error().message();
  EXPECT_EQ(run_bpf(*program, Context{0x80000007, 0}), 1u);
  EXPECT_EQ(run_bpf(*program, Context{0x00000007, 0}), 0u);
  EXPECT_EQ(run_bpf(*program, Context{0x80000008, 0}), 0u);
}

TEST(BpfAssembler, RefusesALabelThatWasNeverPlaced) {
  BpfAssembler code;
  code.jump(code.make_label()).answer(1);
  EXPECT_FALSE(code.take());
}

TEST(BpfAssembler, RefusesAJumpThatIsTooFar) {
  BpfAssembler code;
  const auto end = code.make_label();
  code.jump(end);
  for (int i = 0; i < 40000; ++i) code.set(2, i);
  code.place(end).answer(1);
  const auto program = code.take();
  ASSERT_FALSE(program);
  EXPECT_NE(program.error().message().find("40000 instructions"), std::string::npos) << program.error().message();
}

}  // namespace
}  // namespace dewar
