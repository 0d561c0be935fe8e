#include "isolation/image/sha256.h"

#include <openssl/evp.h>
#include <unistd.h>

#include <vector>

#include "base/files.h"

namespace dewar {

struct Sha256::State {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{EVP_MD_CTX_new(), EVP_MD_CTX_free};
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  EVP_DigestInit_ex(state_->context.get(), EVP_sha256(), nullptr);
}

Sha256::~Sha256() = default;

void Sha256::add(const void* bytes, std::size_t size) { EVP_DigestUpdate(state_->context.get(), bytes, size); }

std::string Sha256::hex() {
  unsigned char raw[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_DigestFinal_ex(state_->context.get(), raw, &size);
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (unsigned i = 0; i < size; ++i) {
    text += kDigits[raw[i] >> 4];
    text += kDigits[raw[i] & 15];
  }
  return text;
}

Result<std::string> sha256_of(int fd, const std::string& what) {
  Sha256 sum;
  std::vector<char> buffer(1u << 20);
  for (off_t at = 0;;) {
    const ssize_t size = retry_eintr([&] { return ::pread(fd, buffer.data(), buffer.size(), at); });
    if (size < 0) return fail_errno("read " + what);
    if (size == 0) return sum.hex();
    sum.add(buffer.data(), static_cast<std::size_t>(size));
    at += size;
  }
}

}  // namespace dewar
