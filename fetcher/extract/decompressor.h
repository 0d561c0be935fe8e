#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/result.h"

namespace dewar {

enum class Compression : std::uint8_t { kNone, kGzip, kBzip2, kXz, kZstd };

/// By the first bytes (six are enough), never by a name.
Compression compression_of(std::string_view head);
/// "gz", "bz2", "xz", "zst"; "" for none.
std::string_view suffix_of(Compression compression);

/// Undoes one compression, piece by piece. A stream may have several members (gzip, bzip2, xz) or frames (zstd) one
/// after the other, and zeros at its end; anything else there is an error. Checksums are verified.
class Decompressor {
 public:
  virtual ~Decompressor() = default;

  /// Takes bytes off the front of `in`, and the room they filled off the front of `out`. `last`: nothing comes after
  /// `in`. True once everything is decoded; call with an empty `out` never.
  /// Errors: words about what is wrong with the data, a stream that is cut off included.
  virtual Result<bool> decode(std::string_view& in, std::span<char>& out, bool last) = 0;
};

/// For any compression but kNone. Memory: gzip 0.1 MB, bzip2 4 MB, xz and zstd at most 128 MB; data that asks for more
/// is refused.
std::unique_ptr<Decompressor> make_decompressor(Compression compression);

}  // namespace dewar
