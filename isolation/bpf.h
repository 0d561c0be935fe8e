// eBPF programs for what cgroup2 decides by program instead of by knob: devices and ports. They are put together
// instruction by instruction, which needs neither compiler nor library; bpf(2) loads and attaches them.
#pragma once

#include <linux/bpf.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace dewar {

/// Writes one program from front to back. Registers are r0 to r9; the kernel passes its context in r1.
/// See the kernel's Documentation/bpf/standardization/instruction-set.rst.
///
///   BpfAssembler code;
///   const auto refuse = code.make_label();
///   code.load(2, 1, offsetof(bpf_sock_addr, user_port), 4).jump_unless_equal(2, 0, refuse).answer(1);
///   code.place(refuse).answer(0);
class BpfAssembler {
 public:
  using Label = std::size_t;

  /// A place to jump to, always forward; place() says where it is.
  Label make_label();
  BpfAssembler& place(Label label);

  /// `to` = the `bytes` (1, 2, 4 or 8) at address `from` + `offset`.
  BpfAssembler& load(int to, int from, std::size_t offset, int bytes);
  BpfAssembler& set(int to, std::int32_t number);
  BpfAssembler& copy(int to, int from);
  /// On the lower 32 bits; the upper ones become 0.
  BpfAssembler& bit_and(int to, std::uint32_t mask);
  BpfAssembler& shift_right(int to, std::uint32_t bits);

  BpfAssembler& jump(Label label);
  /// Compares the lower 32 bits.
  BpfAssembler& jump_if_equal(int left, std::uint32_t right, Label label);
  BpfAssembler& jump_unless_equal(int left, std::uint32_t right, Label label);
  BpfAssembler& jump_if_null(int pointer, Label label);

  /// Calls a function of the kernel: arguments in r1 to r5, which it spoils, and the result in r0.
  BpfAssembler& call(bpf_func_id function);

  /// Ends the program. For the hooks used here 1 allows and 0 refuses with EPERM.
  BpfAssembler& answer(std::int32_t number);

  /// The program; the assembler is then spent. Errors: a label that was never placed, or a jump too far (32767
  /// instructions).
  Result<std::vector<bpf_insn>> take();

 private:
  struct Jump {
    std::size_t at;
    Label to;
  };
  BpfAssembler& add(std::uint8_t code, int to, int from, std::int16_t offset, std::int32_t number);
  BpfAssembler& add_jump(std::uint8_t code, int left, std::uint32_t right, Label label);

  std::vector<bpf_insn> code_;
  std::vector<std::size_t> labels_;  ///< where each one is
  std::vector<Jump> jumps_;
};

/// Has the kernel check and take a program. `name` (at most 15 letters, digits, '_') is what bpftool(8) shows. Errors:
/// EPERM without CAP_BPF or CAP_SYS_ADMIN; EINVAL and EACCES with the verifier's last words; ENOSYS.
Result<UniqueFd> load_bpf(const std::vector<bpf_insn>& code, bpf_prog_type type, bpf_attach_type hook,
                          const std::string& name);

/// From now on the program decides, beside any others, for all that live in a cgroup2 folder and below. It goes with
/// the group, not with the descriptor.
Result<void> attach_bpf(const UniqueFd& program, bpf_attach_type hook, const std::string& cgroup);
/// Takes off what attach_bpf() attached; to put another in its place, attach that one first.
Result<void> detach_bpf(const UniqueFd& program, bpf_attach_type hook, const std::string& cgroup);

}  // namespace dewar
