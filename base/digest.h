#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace dewar {

/// SHA-256 or SHA-512 of bytes that come piece by piece.
class Digest {
 public:
  enum class Kind { kSha256, kSha512 };
  explicit Digest(Kind kind);
  Digest(Digest&&) noexcept;
  ~Digest();

  void add(std::string_view bytes);
  /// Lower-case hexadecimal. Nothing can be added afterwards.
  std::string finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string sha256(std::string_view bytes);
/// Of a file from its beginning; its offset is not used.
Result<std::string> sha256_of_file(int fd, const std::string& what);

}  // namespace dewar
