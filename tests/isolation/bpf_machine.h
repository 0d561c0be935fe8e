// A machine for the instructions that BpfAssembler writes, so that a program's answers are tested without a kernel.
#pragma once

#include <gtest/gtest.h>
#include <linux/bpf.h>

#include <cstdint>
#include <cstring>
#include <vector>

namespace dewar {

/// What the program answers to `context`, any plain struct.
template <class Context>
std::uint64_t run_bpf(const std::vector<bpf_insn>& code, const Context& context) {
  std::uint64_t r[11] = {};
  for (std::size_t at = 0; at < code.size(); ++at) {
    const bpf_insn& now = code[at];
    std::uint64_t& to = r[now.dst_reg];
    const auto number = static_cast<std::uint32_t>(now.imm);
    const auto low = static_cast<std::uint32_t>(to);
    bool jump = false;
    switch (now.code) {
      case BPF_ALU64 | BPF_MOV | BPF_K:
        to = static_cast<std::uint64_t>(static_cast<std::int64_t>(now.imm));
        break;
      case BPF_ALU64 | BPF_MOV | BPF_X:
        to = r[now.src_reg];
        break;
      case BPF_ALU | BPF_AND | BPF_K:
        to = low & number;
        break;
      case BPF_ALU | BPF_RSH | BPF_K:
        to = low >> number;
        break;
      case BPF_LDX | BPF_MEM | BPF_B:
      case BPF_LDX | BPF_MEM | BPF_H:
      case BPF_LDX | BPF_MEM | BPF_W: {
        const std::size_t bytes = BPF_SIZE(now.code) == BPF_B ? 1 : BPF_SIZE(now.code) == BPF_H ? 2 : 4;
        const std::size_t offset = r[now.src_reg] + static_cast<std::size_t>(now.off);  // r1 begins at 0
        if (offset + bytes > sizeof context) {
          ADD_FAILURE() << "reads beyond its context";
          return 0;
        }
        std::uint64_t value = 0;
        std::memcpy(&value, reinterpret_cast<const char*>(&context) + offset, bytes);
        to = value;
        break;
      }
      case BPF_JMP | BPF_JA:
        jump = true;
        break;
      case BPF_JMP32 | BPF_JEQ | BPF_K:
        jump = low == number;
        break;
      case BPF_JMP32 | BPF_JNE | BPF_K:
        jump = low != number;
        break;
      case BPF_JMP | BPF_EXIT:
        return r[0];
      default:
        ADD_FAILURE() << "instruction " << at << " has the unknown code " << int{now.code};
        return 0;
    }
    if (jump) at += static_cast<std::size_t>(now.off);
  }
  ADD_FAILURE() << "the program runs past its end";
  return 0;
}

}  // namespace dewar
