#include "isolation/bpf.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <limits>

#include "base/files.h"

namespace dewar {
namespace {

constexpr std::size_t kNowhere = std::numeric_limits<std::size_t>::max();

long bpf(bpf_cmd command, bpf_attr& attributes) { return ::syscall(SYS_bpf, command, &attributes, sizeof attributes); }

std::uint64_t address_of(const void* data) { return reinterpret_cast<std::uintptr_t>(data); }

std::uint8_t size_code(int bytes) { return bytes == 1 ? BPF_B : bytes == 2 ? BPF_H : bytes == 4 ? BPF_W : BPF_DW; }

/// The verifier ends with statistics; what was wrong stands in the line before.
std::string last_words(std::string log) {
  while (!log.empty() && log.back() == '\n') log.pop_back();
  const std::size_t statistics = log.rfind("\nprocessed ");
  if (statistics != std::string::npos) log.resize(statistics);
  const std::size_t line = log.rfind('\n');
  return line == std::string::npos ? log : log.substr(line + 1);
}

Result<void> change_group(bpf_cmd command, const UniqueFd& program, bpf_attach_type hook, const std::string& cgroup) {
  const UniqueFd group = DEWAR_TRY(open_file(cgroup, O_RDONLY | O_DIRECTORY));
  bpf_attr attributes{};
  attributes.target_fd = static_cast<std::uint32_t>(group.get());
  attributes.attach_bpf_fd = static_cast<std::uint32_t>(program.get());
  attributes.attach_type = hook;
  attributes.attach_flags = command == BPF_PROG_ATTACH ? BPF_F_ALLOW_MULTI : 0;
  if (bpf(command, attributes) != 0)
    return fail_errno((command == BPF_PROG_ATTACH ? "attach a BPF program to " : "take a BPF program off ") + cgroup);
  return {};
}

}  // namespace

BpfAssembler::Label BpfAssembler::make_label() {
  labels_.push_back(kNowhere);
  return labels_.size() - 1;
}

BpfAssembler& BpfAssembler::place(Label label) {
  labels_[label] = code_.size();
  return *this;
}

BpfAssembler& BpfAssembler::add(std::uint8_t code, int to, int from, std::int16_t offset, std::int32_t number) {
  bpf_insn instruction{};
  instruction.code = code;
  instruction.dst_reg = static_cast<std::uint8_t>(to & 0xf);
  instruction.src_reg = static_cast<std::uint8_t>(from & 0xf);
  instruction.off = offset;
  instruction.imm = number;
  code_.push_back(instruction);
  return *this;
}

BpfAssembler& BpfAssembler::load(int to, int from, std::size_t offset, int bytes) {
  return add(BPF_LDX | BPF_MEM | size_code(bytes), to, from, static_cast<std::int16_t>(offset), 0);
}

BpfAssembler& BpfAssembler::set(int to, std::int32_t number) {
  return add(BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, number);
}

BpfAssembler& BpfAssembler::copy(int to, int from) { return add(BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0); }

BpfAssembler& BpfAssembler::bit_and(int to, std::uint32_t mask) {
  return add(BPF_ALU | BPF_AND | BPF_K, to, 0, 0, static_cast<std::int32_t>(mask));
}

BpfAssembler& BpfAssembler::shift_right(int to, std::uint32_t bits) {
  return add(BPF_ALU | BPF_RSH | BPF_K, to, 0, 0, static_cast<std::int32_t>(bits));
}

BpfAssembler& BpfAssembler::add_jump(std::uint8_t code, int left, std::uint32_t right, Label label) {
  jumps_.push_back({code_.size(), label});
  return add(code, left, 0, 0, static_cast<std::int32_t>(right));
}

BpfAssembler& BpfAssembler::jump(Label label) { return add_jump(BPF_JMP | BPF_JA, 0, 0, label); }

BpfAssembler& BpfAssembler::jump_if_equal(int left, std::uint32_t right, Label label) {
  return add_jump(BPF_JMP32 | BPF_JEQ | BPF_K, left, right, label);
}

BpfAssembler& BpfAssembler::jump_unless_equal(int left, std::uint32_t right, Label label) {
  return add_jump(BPF_JMP32 | BPF_JNE | BPF_K, left, right, label);
}

BpfAssembler& BpfAssembler::jump_if_null(int pointer, Label label) {
  return add_jump(BPF_JMP | BPF_JEQ | BPF_K, pointer, 0, label);
}

BpfAssembler& BpfAssembler::call(bpf_func_id function) { return add(BPF_JMP | BPF_CALL, 0, 0, 0, function); }

BpfAssembler& BpfAssembler::answer(std::int32_t number) { return set(0, number).add(BPF_JMP | BPF_EXIT, 0, 0, 0, 0); }

Result<std::vector<bpf_insn>> BpfAssembler::take() {
  for (const Jump& jump : jumps_) {
    const std::size_t target = labels_[jump.to];
    if (target == kNowhere || target <= jump.at) return fail("a BPF program jumps to a label that does not follow");
    const std::size_t distance = target - jump.at - 1;
    if (distance > static_cast<std::size_t>(std::numeric_limits<std::int16_t>::max()))
      return fail("a BPF program jumps over " + std::to_string(distance) + " instructions, which is too far");
    code_[jump.at].off = static_cast<std::int16_t>(distance);
  }
  jumps_.clear();
  labels_.clear();
  return std::move(code_);
}

Result<UniqueFd> load_bpf(const std::vector<bpf_insn>& code, bpf_prog_type type, bpf_attach_type hook,
                          const std::string& name) {
  constexpr char kLicense[] = "Apache-2.0";
  bpf_attr attributes{};
  attributes.prog_type = type;
  attributes.expected_attach_type = hook;
  attributes.insns = address_of(code.data());
  attributes.insn_cnt = static_cast<std::uint32_t>(code.size());
  attributes.license = address_of(kLicense);
  std::copy_n(name.begin(), std::min(name.size(), sizeof attributes.prog_name - 1), attributes.prog_name);
  UniqueFd program(static_cast<int>(bpf(BPF_PROG_LOAD, attributes)));
  if (program) return program;

  const Failure failure = fail_errno("load the BPF program '" + name + "'");
  if (failure.error.code != std::errc::invalid_argument && failure.error.code != std::errc::permission_denied)
    return failure;
  std::string log(64u << 10, '\0');  // again, to hear why
  attributes.log_buf = address_of(log.data());
  attributes.log_size = static_cast<std::uint32_t>(log.size());
  attributes.log_level = 1;
  program.reset(static_cast<int>(bpf(BPF_PROG_LOAD, attributes)));
  if (program) return program;
  log.resize(std::min(log.find('\0'), log.size()));
  Error error = failure.error;
  if (!log.empty()) error.context += " (" + last_words(log) + ")";
  return Failure{std::move(error)};
}

Result<void> attach_bpf(const UniqueFd& program, bpf_attach_type hook, const std::string& cgroup) {
  return change_group(BPF_PROG_ATTACH, program, hook, cgroup);
}

Result<void> detach_bpf(const UniqueFd& program, bpf_attach_type hook, const std::string& cgroup) {
  return change_group(BPF_PROG_DETACH, program, hook, cgroup);
}

}  // namespace dewar
