// Which addresses may be fetched from. Looked at for the address that is connected to, after every look-up and every
// redirect: no spelling of a host and no answer of a name server leads around it.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace dewar {

/// An IPv6 address; IPv4 as ::ffff:a.b.c.d.
using AddressBytes = std::array<std::uint8_t, 16>;

struct AddressRule {
  bool allow = false;
  AddressBytes address{};
  int bits = 128;  ///< that count, from the front
};

/// "10.0.0.0/8", "fd00::/8", "169.254.169.254". Errors: words.
Result<AddressRule> parse_address_rule(std::string_view text, bool allow);

/// Whether `address` is one, written as in a rule, and lies in `range`.
bool is_address_in(std::string_view address, std::string_view range);

/// Empty if `address` may be connected to; else why not: "169.254.169.254 is a link-local address". `rules` come before
/// the usual ones: nothing link-local, multicast or reserved, no metadata service; loopback only if `loopback`.
/// An IPv4 address inside an IPv6 one (mapped, compatible, NAT64, 6to4) is looked at as such.
std::string address_refusal(const sockaddr& address, const std::vector<AddressRule>& rules, bool loopback);

}  // namespace dewar
