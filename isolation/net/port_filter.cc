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

Result<std::vector<bpf_insn>> listener_filter(const std::vector<std::uint16_t>& ports) {
  BpfAssembler code;
  const auto allow = code.make_label();
  code.load(1, 1, offsetof(__sk_buff, sk), 8).jump_if_null(1, allow);
  code.call(BPF_FUNC_sk_fullsock).jump_if_null(0, allow);
  code.load(2, 0, offsetof(bpf_sock, state), 4).jump_unless_equal(2, BPF_TCP_LISTEN, allow);
  code.load(2, 0, offsetof(bpf_sock, src_port), 4);  // in the host's order
  for (const std::uint16_t port : ports) code.jump_if_equal(2, port, allow);
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
  constexpr bpf_attach_type kArrival = BPF_CGROUP_INET_INGRESS;
  const auto arrivals = DEWAR_TRY(listener_filter(ports));
  const UniqueFd program = DEWAR_TRY(load_bpf(arrivals, BPF_PROG_TYPE_CGROUP_SKB, kArrival, "dewar_listeners"));
  return attach_bpf(program, kArrival, cgroup);
}

}  // namespace dewar
