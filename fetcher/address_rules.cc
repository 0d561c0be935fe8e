#include "fetcher/address_rules.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <utility>

namespace dewar {
namespace {

constexpr int kMappedBits = 96;

AddressBytes mapped(const std::uint8_t* v4) {
  AddressBytes bytes{};
  bytes[10] = bytes[11] = 0xff;
  std::copy_n(v4, 4, bytes.begin() + 12);
  return bytes;
}

bool fits(const AddressBytes& address, const AddressBytes& prefix, int bits) {
  const auto whole = static_cast<std::size_t>(bits / 8);
  if (!std::equal(prefix.begin(), prefix.begin() + static_cast<std::ptrdiff_t>(whole), address.begin())) return false;
  const int rest = bits % 8;
  return rest == 0 || ((address[whole] ^ prefix[whole]) >> (8 - rest)) == 0;
}

struct Known {
  const char* prefix;
  const char* what;
};

/// Never a place for artifacts. RFC 6890, and where clouds tell a host its secrets.
constexpr Known kForbidden[] = {
    {"169.254.169.254", "a metadata service"}, {"169.254.0.0/16", "a link-local address"},
    {"100.100.100.200", "a metadata service"}, {"168.63.129.16", "a metadata service"},
    {"192.0.0.192", "a metadata service"},     {"fd00:ec2::254", "a metadata service"},
    {"fd20:ce::254", "a metadata service"},    {"fd00:42::42", "a metadata service"},
    {"fe80::/10", "a link-local address"},     {"224.0.0.0/4", "a multicast address"},
    {"ff00::/8", "a multicast address"},       {"240.0.0.0/4", "a reserved address"},
};

/// What a kernel takes for this host itself: 0.0.0.0 and :: too.
constexpr Known kLoopback[] = {{"127.0.0.0/8", ""}, {"0.0.0.0/8", ""}, {"::1", ""}, {"::", ""}};

template <std::size_t N>
const Known* find(const Known (&list)[N], const AddressBytes& address) {
  const auto found = std::find_if(std::begin(list), std::end(list), [&](const Known& known) {
    const auto rule = parse_address_rule(known.prefix, false);
    return rule && fits(address, rule->address, rule->bits);
  });
  return found == std::end(list) ? nullptr : found;
}

/// The IPv4 address that a translator or tunnel would connect to for this IPv6 one.
AddressBytes unwrapped(const AddressBytes& address) {
  constexpr std::array<std::uint8_t, 12> kCompatible{};
  constexpr std::array<std::uint8_t, 12> kNat64{0, 0x64, 0xff, 0x9b};
  constexpr std::array<std::uint8_t, 6> kLocalNat64{0, 0x64, 0xff, 0x9b, 0, 1};
  const auto begins = [&](const auto& prefix) { return std::equal(prefix.begin(), prefix.end(), address.begin()); };
  const bool one = std::all_of(address.begin(), address.begin() + 15, [](auto b) { return b == 0; }) && address[15] < 2;
  if (begins(kCompatible) && !one) return mapped(&address[12]);
  if (begins(kNat64) || begins(kLocalNat64)) return mapped(&address[12]);
  if (address[0] == 0x20 && address[1] == 0x02) return mapped(&address[2]);  // 6to4, RFC 3056
  return address;
}

std::optional<AddressBytes> bytes_of(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address, sizeof v4);
    return mapped(reinterpret_cast<const std::uint8_t*>(&v4.sin_addr));
  }
  if (address.sa_family != AF_INET6) return std::nullopt;
  sockaddr_in6 v6{};
  std::memcpy(&v6, &address, sizeof v6);
  AddressBytes bytes{};
  std::memcpy(bytes.data(), &v6.sin6_addr, bytes.size());
  return bytes;
}

std::string show(const AddressBytes& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (fits(address, mapped(reinterpret_cast<const std::uint8_t*>("\0\0\0\0")), kMappedBits)) {
    ::inet_ntop(AF_INET, &address[12], text, sizeof text);
  } else {
    ::inet_ntop(AF_INET6, address.data(), text, sizeof text);
  }
  return text;
}

}  // namespace

Result<AddressRule> parse_address_rule(std::string_view text, bool allow) {
  const std::size_t slash = text.find('/');
  const std::string host(text.substr(0, slash));
  const auto wrong = [&] { return fail("'" + std::string(text) + "' is no address or range such as 10.0.0.0/8"); };
  AddressRule rule;
  rule.allow = allow;
  std::uint8_t v4[4];
  const bool is_v4 = ::inet_pton(AF_INET, host.c_str(), v4) == 1;
  if (is_v4) {
    rule.address = mapped(v4);
  } else if (::inet_pton(AF_INET6, host.c_str(), rule.address.data()) != 1) {
    return wrong();
  }
  if (slash == std::string_view::npos) return rule;
  const std::string_view digits = text.substr(slash + 1);
  int bits = -1;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
  if (read.ec != std::errc{} || read.ptr != digits.data() + digits.size() || bits < 0 || bits > (is_v4 ? 32 : 128))
    return wrong();
  rule.bits = is_v4 ? kMappedBits + bits : bits;
  return rule;
}

bool is_address_in(std::string_view address, std::string_view range) {
  const auto one = parse_address_rule(address, false), all = parse_address_rule(range, false);
  return one && all && address.find('/') == std::string_view::npos && fits(one->address, all->address, all->bits);
}

std::string address_refusal(const sockaddr& address, const std::vector<AddressRule>& rules, bool loopback) {
  const auto bytes = bytes_of(address);
  if (!bytes) return "an address that is neither IPv4 nor IPv6";
  const AddressBytes real = unwrapped(*bytes);
  const std::string shown = show(real);
  for (const AddressRule& rule : rules) {
    if (fits(real, rule.address, rule.bits)) return rule.allow ? "" : shown + " is denied by this host's rules";
  }
  if (const Known* known = find(kForbidden, real)) return shown + " is " + known->what;
  if (!loopback && find(kLoopback, real))
    return shown + " is this host itself, which a task without the host's network cannot reach";
  return {};
}

}  // namespace dewar
