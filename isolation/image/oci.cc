#include "isolation/image/oci.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

namespace dewar {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMostLayers = 1000, kMostVariables = 1000;

Result<Json> parse(std::string_view text, const std::string& what) {
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded() || !json.is_object()) return fail(what + " is no JSON object");
  return json;
}

/// A member that is text; "" if it is missing or something else.
std::string text_of(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

const Json& member(const Json& object, const char* name) {
  static const Json kNothing;
  const auto found = object.is_object() ? object.find(name) : object.end();
  return found == object.end() ? kNothing : *found;
}

bool is_digest(const std::string& text) {
  return text.starts_with("sha256:") && text.size() == 71 &&
         text.find_first_not_of("0123456789abcdef", 7) == std::string::npos;
}

Result<OciBlob> blob_of(const Json& json, const std::string& what) {
  if (!json.is_object()) return fail(what + " has no descriptor");
  OciBlob blob{text_of(json, "digest"), text_of(json, "mediaType"), 0};
  if (!is_digest(blob.digest))
    return fail(what + " has digest '" + blob.digest.substr(0, 80) + "'; only sha256 is supported");
  const Json& size = member(json, "size");
  if (!size.is_number_unsigned()) return fail(what + " has no size");
  blob.size = size.get<std::uint64_t>();
  return blob;
}

bool suits(const Json& descriptor, const std::string& architecture) {
  const Json& platform = member(descriptor, "platform");
  if (!platform.is_object()) return true;
  return text_of(platform, "os") == "linux" && text_of(platform, "architecture") == architecture;
}

}  // namespace

bool is_index(const OciBlob& blob) {
  return blob.media_type == "application/vnd.oci.image.index.v1+json" ||
         blob.media_type == "application/vnd.docker.distribution.manifest.list.v2+json";
}

Result<OciBlob> choose_manifest(std::string_view index_json, const std::string& tag, const std::string& architecture) {
  const Json index = DEWAR_TRY(parse(index_json, "the image index"));
  std::vector<const Json*> found;
  std::set<std::string> tags;
  for (const Json& one : member(index, "manifests")) {
    if (!one.is_object() || !suits(one, architecture)) continue;
    const std::string name = text_of(member(one, "annotations"), "org.opencontainers.image.ref.name");
    if (!name.empty()) tags.insert(name);
    if (tag.empty() || name == tag) found.push_back(&one);
  }
  std::string known;
  for (const std::string& name : tags) known += (known.empty() ? "" : ", ") + name;
  if (found.size() == 1) return blob_of(*found.front(), "the image index");
  if (!tag.empty())
    return fail("there is no image '" + tag + "' for linux/" + architecture + " in it" +
                (known.empty() ? "" : "; there is " + known));
  if (found.empty()) return fail("it has no image for linux/" + architecture);
  return fail("it has several images; say which by its tag" + (known.empty() ? "" : ": " + known));
}

Result<OciManifest> parse_manifest(std::string_view text) {
  const Json json = DEWAR_TRY(parse(text, "the image manifest"));
  OciManifest manifest;
  manifest.config = DEWAR_TRY(blob_of(member(json, "config"), "the image manifest's config"));
  const Json& layers = member(json, "layers");
  if (!layers.is_array() || layers.empty()) return fail("the image manifest has no layers");
  if (layers.size() > kMostLayers) return fail("the image has more than " + std::to_string(kMostLayers) + " layers");
  for (const Json& layer : layers)
    manifest.layers.push_back(DEWAR_TRY(blob_of(layer, "layer " + std::to_string(manifest.layers.size()))));
  return manifest;
}

Result<ImageConfig> parse_image_config(std::string_view text) {
  const Json json = DEWAR_TRY(parse(text, "the image's config"));
  const Json& inner = member(json, "config");
  ImageConfig config;
  if (!inner.is_object()) return config;
  config.user = text_of(inner, "User");
  const Json& variables = member(inner, "Env");
  if (!variables.is_array()) return config;
  if (variables.size() > kMostVariables) return fail("the image's config has too many variables");
  for (const Json& one : variables) {
    const std::string entry = one.is_string() ? one.get<std::string>() : "";
    const std::size_t equals = entry.find('=');
    if (equals == std::string::npos || equals == 0 || entry.find('\0') != std::string::npos)
      return fail("the image's config has a variable that is not NAME=VALUE");
    config.environment.push_back(entry);
  }
  return config;
}

}  // namespace dewar
