#pragma once

#include <cstdint>
#include <string_view>

namespace dewar {

/// CRC-32C (Castagnoli, reflected polynomial 0x82F63B78, RFC 3720 appendix B.4). crc32c("123456789") == 0xE3069283.
std::uint32_t crc32c(std::string_view bytes);

}  // namespace dewar
