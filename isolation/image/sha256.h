#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "base/result.h"

namespace dewar {

/// SHA-256 (FIPS 180-4) of bytes as they come.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  void add(const void* bytes, std::size_t size);
  /// The digest in hexadecimal; to be asked for once.
  std::string hex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Of all that `fd` holds, from its beginning.
Result<std::string> sha256_of(int fd, const std::string& what);

}  // namespace dewar
