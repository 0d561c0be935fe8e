#include "base/digest.h"

#include <openssl/evp.h>
#include <unistd.h>

#include <vector>

#include "base/files.h"

namespace dewar {

struct Digest::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { EVP_MD_CTX_free(context); }
};

Digest::Digest(Kind kind) : state_(std::make_unique<State>()) {
  EVP_DigestInit_ex(state_->context, kind == Kind::kSha256 ? EVP_sha256() : EVP_sha512(), nullptr);
}
Digest::Digest(Digest&&) noexcept = default;
Digest::~Digest() = default;

void Digest::add(std::string_view bytes) { EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()); }

std::string Digest::finish() {
  unsigned char raw[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_DigestFinal_ex(state_->context, raw, &size);
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (unsigned i = 0; i < size; ++i) text += kDigits[raw[i] >> 4], text += kDigits[raw[i] & 15];
  return text;
}

std::string sha256(std::string_view bytes) {
  Digest digest(Digest::Kind::kSha256);
  digest.add(bytes);
  return digest.finish();
}

Result<std::string> sha256_of_file(int fd, const std::string& what) {
  Digest digest(Digest::Kind::kSha256);
  std::vector<char> block(1u << 20);
  for (off_t at = 0;;) {
    const ssize_t n = retry_eintr([&] { return ::pread(fd, block.data(), block.size(), at); });
    if (n < 0) return fail_errno("read " + what);
    if (n == 0) return digest.finish();
    digest.add({block.data(), static_cast<std::size_t>(n)});
    at += n;
  }
}

}  // namespace dewar
