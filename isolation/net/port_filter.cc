#include "isolation/net/port_filter.h"

#include <arpa/inet.h>

#include <cstddef>

#include "isolation/bpf.h"

namespace dewar {

Result<std::vector<bpf_insn>> port_filter(const std::vector<std::uint16_t>& ports) {
  BpfAssembler code;
  const auto allow = code.make_label();
  code.load(2, 1, offsetof(bpf_sock_addr, user_port), 4);  // in network order, zero-extended
  code.jump_if_equal(2, 0, allow);
  for (const std::uint16_t port : ports) code.jump_if_equal(2, ::htons(port), allow);
  code.answer(0);
  code.place(allow).answer(1);
  return code.take();
}

Result<void> allow_only_ports(const std::vector<std::uint16_t>& ports, const std::string& cgroup) {
  if (cgroup.empty()) return fail(std::errc::not_supported, "enforce the task's ports without cgroup2");
  const auto code = DEWAR_TRY(port_filter(ports));
  for (const bpf_attach_type hook : {BPF_CGROUP_INET4_BIND, BPF_CGROUP_INET6_BIND}) {
    const UniqueFd program = DEWAR_TRY(load_bpf(code, BPF_PROG_TYPE_CGROUP_SOCK_ADDR, hook, "dewar_ports"));
    DEWAR_TRY(attach_bpf(program, hook, cgroup));
  }
  return {};
}

}  // namespace dewar
