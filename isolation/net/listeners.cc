#include "isolation/net/listeners.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cstring>

#include "base/files.h"

namespace dewar {
namespace {

constexpr std::uint32_t kSequence = 1;

/// A value at an offset, copied out: netlink aligns to 4 bytes only. Zero beyond the end.
template <class T>
T value_at(std::string_view bytes, std::size_t offset) {
  T value{};
  if (offset + sizeof value <= bytes.size()) std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

std::uint64_t cgroup_of(std::string_view attributes) {
  while (attributes.size() >= sizeof(nlattr)) {
    const auto head = value_at<nlattr>(attributes, 0);
    if (head.nla_len < sizeof(nlattr) || head.nla_len > attributes.size()) return 0;
    if (head.nla_type == INET_DIAG_CGROUP_ID) return value_at<std::uint64_t>(attributes, NLA_HDRLEN);
    attributes.remove_prefix(std::min<std::size_t>(NLA_ALIGN(head.nla_len), attributes.size()));
  }
  return 0;
}

Result<Listener> read_socket(std::string_view body, Transport transport) {
  if (body.size() < sizeof(inet_diag_msg)) return fail(std::errc::bad_message, "read a socket from sock_diag");
  const auto message = value_at<inet_diag_msg>(body, 0);
  char text[INET6_ADDRSTRLEN] = "";
  ::inet_ntop(message.idiag_family, message.id.idiag_src, text, sizeof text);
  return Listener{transport, text, ntohs(message.id.idiag_sport), message.idiag_inode,
                  cgroup_of(body.substr(sizeof message))};
}

Result<void> ask(const UniqueFd& socket, int family, Transport transport) {
  struct {
    nlmsghdr header{};
    inet_diag_req_v2 body{};
  } request;
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.header.nlmsg_seq = kSequence;
  request.body.sdiag_family = static_cast<std::uint8_t>(family);
  request.body.sdiag_protocol = transport == Transport::kTcp ? IPPROTO_TCP : IPPROTO_UDP;
  // A UDP socket that is bound but not connected is in the state that TCP calls closed.
  request.body.idiag_states = 1u << (transport == Transport::kTcp ? TCP_LISTEN : TCP_CLOSE);
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  if (::sendto(socket.get(), &request, sizeof request, 0, reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel) <
      0)
    return fail_errno("ask sock_diag who listens");
  return {};
}

}  // namespace

Result<bool> read_listeners(std::string_view datagram, Transport transport, std::vector<Listener>& out) {
  while (datagram.size() >= sizeof(nlmsghdr)) {
    const auto head = value_at<nlmsghdr>(datagram, 0);
    if (head.nlmsg_len < sizeof head || head.nlmsg_len > datagram.size())
      return fail(std::errc::bad_message, "read sock_diag's answer");
    const std::string_view body = datagram.substr(sizeof head, head.nlmsg_len - sizeof head);
    datagram.remove_prefix(std::min<std::size_t>(NLMSG_ALIGN(head.nlmsg_len), datagram.size()));
    if (head.nlmsg_seq != kSequence) continue;
    if (head.nlmsg_type == NLMSG_DONE) return false;
    if (head.nlmsg_type == NLMSG_ERROR)
      return fail({-value_at<std::int32_t>(body, 0), std::generic_category()}, "ask sock_diag who listens");
    if (head.nlmsg_type == SOCK_DIAG_BY_FAMILY) out.push_back(DEWAR_TRY(read_socket(body, transport)));
  }
  return true;
}

Result<std::vector<Listener>> list_listeners() {
  std::vector<Listener> all;
  for (const Transport transport : {Transport::kTcp, Transport::kUdp}) {
    for (const int family : {AF_INET, AF_INET6}) {
      const UniqueFd socket(::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
      if (!socket) return fail_errno("open sock_diag");
      DEWAR_TRY(ask(socket, family, transport));
      std::string buffer(32u << 10, '\0');
      for (bool more = true; more;) {
        const ssize_t size = retry_eintr([&] { return ::recv(socket.get(), buffer.data(), buffer.size(), 0); });
        if (size < 0) return fail_errno("hear from sock_diag");
        more = DEWAR_TRY(
            read_listeners(std::string_view(buffer).substr(0, static_cast<std::size_t>(size)), transport, all));
      }
    }
  }
  return all;
}

std::string to_string(const Listener& listener) {
  const bool v6 = listener.address.find(':') != std::string::npos;
  return std::string(listener.transport == Transport::kTcp ? "tcp " : "udp ") +
         (v6 ? "[" + listener.address + "]" : listener.address) + ":" + std::to_string(listener.port);
}

}  // namespace dewar
