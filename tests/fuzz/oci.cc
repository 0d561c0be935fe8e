// The texts of an OCI image layout: each is read as all three. A digest that is taken becomes a file's name.
#include "isolation/image/oci.h"

#include <cstdlib>

namespace {

void check(const dewar::OciBlob& blob) {
  if (blob.digest.size() != 71 || blob.digest.find_first_not_of("0123456789abcdef", 7) != std::string::npos)
    std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const char* tag : {"", "v1"}) {
    if (const auto chosen = dewar::choose_manifest(text, tag, "amd64")) check(*chosen);
  }
  if (const auto manifest = dewar::parse_manifest(text)) {
    check(manifest->config);
    for (const dewar::OciBlob& layer : manifest->layers) check(layer);
  }
  if (const auto config = dewar::parse_image_config(text)) {
    for (const std::string& entry : config->environment) {
      if (entry.find('=') == std::string::npos || entry.find('\0') != std::string::npos) std::abort();
    }
  }
  return 0;
}
