#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace dewar {

/// Bytes of the character at the front of `text`, 1 to 4; 0 if it is not well-formed UTF-8 (RFC 3629: no overlong form,
/// no surrogate, nothing beyond U+10FFFF) or `text` is empty.
std::size_t utf8_size(std::string_view text);

/// Appends a code point; one that is not a Unicode scalar value becomes U+FFFD.
void append_utf8(std::string& text, char32_t code);

}  // namespace dewar
