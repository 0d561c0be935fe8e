// A filter run as the kernel runs it: the instructions of classic BPF that seccomp(2) admits and we use.
#pragma once

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace dewar {

class FilterMachine {
 public:
  explicit FilterMachine(const std::string& bytes) : program_(bytes.size() / sizeof(sock_filter)) {
    EXPECT_EQ(bytes.size() % sizeof(sock_filter), 0u);
    std::memcpy(program_.data(), bytes.data(), bytes.size());
  }

  std::size_t size() const { return program_.size(); }
  /// Instructions of the last answer.
  std::size_t steps() const { return steps_; }

  std::uint32_t answer(std::uint32_t number, const std::vector<std::uint64_t>& arguments = {},
                       std::uint32_t arch = AUDIT_ARCH_X86_64) const {
    seccomp_data data{};
    data.nr = static_cast<int>(number);
    data.arch = arch;
    std::ranges::copy(arguments, data.args);
    return run(data);
  }

 private:
  std::uint32_t run(const seccomp_data& data) const {
    std::uint32_t accumulator = 0;
    steps_ = 0;
    for (std::size_t at = 0; at < program_.size(); ++at) {
      ++steps_;
      const sock_filter& op = program_[at];
      const auto branch = [&](bool yes) { at += yes ? op.jt : op.jf; };
      switch (op.code) {
        case BPF_LD | BPF_W | BPF_ABS:
          std::memcpy(&accumulator, reinterpret_cast<const char*>(&data) + op.k, 4);
          break;
        case BPF_ALU | BPF_AND | BPF_K:
          accumulator &= op.k;
          break;
        case BPF_JMP | BPF_JA:
          at += op.k;
          break;
        case BPF_JMP | BPF_JEQ | BPF_K:
          branch(accumulator == op.k);
          break;
        case BPF_JMP | BPF_JGT | BPF_K:
          branch(accumulator > op.k);
          break;
        case BPF_JMP | BPF_JGE | BPF_K:
          branch(accumulator >= op.k);
          break;
        case BPF_RET | BPF_K:
          return op.k;
        default:
          ADD_FAILURE() << "an instruction this test does not know: " << op.code;
          return 0;
      }
    }
    ADD_FAILURE() << "the program runs off its end";
    return 0;
  }

  std::vector<sock_filter> program_;
  mutable std::size_t steps_ = 0;
};

}  // namespace dewar
