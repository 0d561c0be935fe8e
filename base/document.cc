#include "base/document.h"

#include "base/crc32c.h"

namespace dewar {
namespace {

constexpr std::size_t kHeaderSize = 16;

}  // namespace

std::string wrap_document(const DocumentKind& kind, std::string_view body) {
  Encoder header;
  header(kind.version, static_cast<std::uint32_t>(body.size()), crc32c(body));
  return std::string(kind.magic) + header.take() + std::string(body);
}

Result<std::string_view> unwrap_document(const DocumentKind& kind, std::string_view bytes) {
  const auto unfit = [&](const std::string& words) {
    return fail(std::errc::bad_message, std::string(kind.name) + ": " + words);
  };
  if (bytes.size() < kHeaderSize) return unfit("it ends within its header");
  if (!bytes.starts_with(kind.magic)) return unfit("it does not begin with '" + std::string(kind.magic) + "'");
  std::uint32_t version = 0, length = 0, sum = 0;
  Decoder header(bytes.substr(kind.magic.size(), kHeaderSize - kind.magic.size()));
  header(version, length, sum);
  if (version != kind.version) {
    return unfit("version " + std::to_string(version) + ", where this program reads " + std::to_string(kind.version));
  }
  const std::string_view body = bytes.substr(kHeaderSize);
  if (body.size() != length) {
    return unfit(std::to_string(body.size()) + " bytes where " + std::to_string(length) + " should be");
  }
  if (crc32c(body) != sum) return unfit("wrong checksum");
  return body;
}

}  // namespace dewar
