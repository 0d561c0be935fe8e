#include "base/crc32c.h"

#include <array>
#include <cstring>

namespace dewar {
namespace {

constexpr std::array<std::uint32_t, 256> make_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) ? 0x82F63B78u : 0u);
    table[byte] = crc;
  }
  return table;
}
constexpr auto kTable = make_table();

std::uint32_t by_table(std::string_view bytes, std::uint32_t crc) {
  for (const char c : bytes) crc = (crc >> 8) ^ kTable[(crc ^ static_cast<unsigned char>(c)) & 0xff];
  return crc;
}

/// x86 has an instruction for just this polynomial.
[[gnu::target("sse4.2")]] std::uint32_t by_instruction(std::string_view bytes, std::uint32_t crc) {
  std::uint64_t word = 0, sum = crc;
  for (; bytes.size() >= sizeof word; bytes.remove_prefix(sizeof word)) {
    std::memcpy(&word, bytes.data(), sizeof word);
    sum = __builtin_ia32_crc32di(sum, word);
  }
  return by_table(bytes, static_cast<std::uint32_t>(sum));
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  return ~(__builtin_cpu_supports("sse4.2") ? by_instruction(bytes, ~0u) : by_table(bytes, ~0u));
}

}  // namespace dewar
