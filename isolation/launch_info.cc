#include "isolation/launch_info.h"

#include <utility>

#include "base/crc32c.h"

namespace dewar {
namespace {

constexpr std::string_view kMagic = "DWRC";
constexpr std::uint32_t kVersion = 2;
constexpr std::size_t kHeaderSize = 16;  // magic, version, length and CRC of the body

enum class Kind : std::uint8_t { kContainer, kAttempt };

Failure refused(const std::string& why) { return fail(std::errc::bad_message, "read the recipe: " + why); }

/// Values that fit the wire but no meaning.
bool sensible(const ContainerRecipe& recipe) {
  for (const MountOp& op : recipe.mounts) {
    if (op.kind > MountKind::kMask) return false;
  }
  return recipe.network <= Network::kBridge;
}

bool sensible(const AttemptRecipe& recipe) {
  return recipe.log.destination <= LogDestination::kNone && recipe.log.mode <= LogMode::kRotate && !recipe.argv.empty();
}

template <class T>
Result<Recipe> decode_body(Decoder& decoder) {
  T recipe;
  decoder(recipe);
  if (!decoder.complete()) return refused("its parts do not fill its length");
  if (!sensible(recipe)) return refused("it holds an unknown kind or mode, or no program");
  return Recipe(std::move(recipe));
}

}  // namespace

std::string encode_recipe(const Recipe& recipe) {
  Encoder body;
  if (const auto* container = std::get_if<ContainerRecipe>(&recipe)) {
    body(Kind::kContainer, *container);
  } else {
    body(Kind::kAttempt, std::get<AttemptRecipe>(recipe));
  }
  Encoder header;
  header(kVersion, static_cast<std::uint32_t>(body.bytes().size()), crc32c(body.bytes()));
  return std::string(kMagic) + header.take() + body.take();
}

Result<Recipe> decode_recipe(std::string_view bytes) {
  if (bytes.size() < kHeaderSize) return refused("it ends within its header");
  if (!bytes.starts_with(kMagic)) return refused("it does not begin with " + std::string(kMagic));
  std::uint32_t version = 0, length = 0, crc = 0;
  Decoder header(bytes.substr(kMagic.size(), kHeaderSize - kMagic.size()));
  header(version, length, crc);
  if (version != kVersion)
    return refused("its version is " + std::to_string(version) + ", not " + std::to_string(kVersion));
  const std::string_view body = bytes.substr(kHeaderSize);
  if (body.size() != length) return refused("its length is not the one it tells");
  if (crc32c(body) != crc) return refused("its checksum is wrong");

  Kind kind{};
  Decoder decoder(body);
  decoder(kind);
  switch (kind) {
    case Kind::kContainer:
      return decode_body<ContainerRecipe>(decoder);
    case Kind::kAttempt:
      return decode_body<AttemptRecipe>(decoder);
  }
  return refused("it is of an unknown kind");
}

}  // namespace dewar
