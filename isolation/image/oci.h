// An OCI image layout (image-spec 1.1, image-layout.md): what of it a sandbox needs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace dewar {

/// "sha256:<64 hexadecimal digits>", checked; where its bytes are is made of it.
struct OciBlob {
  std::string digest;
  std::string media_type;
  std::uint64_t size = 0;
};

/// What an image says of how it wants to be run. Its Entrypoint, Cmd and WorkingDir are not used: a task has command
/// lines, and its processes begin in the sandbox folder.
struct ImageConfig {
  std::vector<std::string> environment;  ///< NAME=VALUE
  std::string user;                      ///< "", "app", "1000", "app:group", "1000:1000"
};

template <class Coder>
void code(Coder& c, ImageConfig& v) {
  c(v.environment, v.user);
}

struct OciManifest {
  OciBlob config;
  std::vector<OciBlob> layers;  ///< lowest first
};

/// The blob that an index names: the manifest with `tag` (annotation org.opencontainers.image.ref.name), or the only
/// one there is; of several platforms linux on `architecture` ("amd64"). It may be an index again. Errors in words,
/// with the tags there are.
Result<OciBlob> choose_manifest(std::string_view index_json, const std::string& tag, const std::string& architecture);
bool is_index(const OciBlob& blob);
Result<OciManifest> parse_manifest(std::string_view json);
Result<ImageConfig> parse_image_config(std::string_view json);

}  // namespace dewar
