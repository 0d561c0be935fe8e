// A document: one value of the plain binary form (base/encoding.h) behind a magic of 4 characters, the version, the
// length and the CRC-32C of the body. docs/formats.md has the table.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/encoding.h"
#include "base/result.h"

namespace dewar {

struct DocumentKind {
  std::string_view magic;  ///< 4 characters
  std::uint32_t version = 0;
  std::string_view name;  ///< in errors: "fetch request"
};

std::string wrap_document(const DocumentKind& kind, std::string_view body);
/// The body. Errors: EBADMSG, with the words what does not fit.
Result<std::string_view> unwrap_document(const DocumentKind& kind, std::string_view bytes);

template <class T>
std::string encode_document(const DocumentKind& kind, const T& value) {
  Encoder body;
  body(value);
  return wrap_document(kind, body.bytes());
}

template <class T>
Result<T> decode_document(const DocumentKind& kind, std::string_view bytes) {
  T value;
  Decoder body(DEWAR_TRY(unwrap_document(kind, bytes)));
  body(value);
  if (!body.complete()) {
    return fail(std::errc::bad_message,
                std::string(kind.name) + ": its content does not fit version " + std::to_string(kind.version));
  }
  return value;
}

}  // namespace dewar
