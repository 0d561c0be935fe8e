#include "isolation/launch_info.h"

#include <utility>

#include "base/document.h"

namespace dewar {
namespace {

constexpr DocumentKind kRecipe{"DWRC", 6, "the recipe"};

enum class Kind : std::uint8_t { kContainer, kAttempt, kDrain };

Failure refused(const std::string& why) { return fail(std::errc::bad_message, std::string(kRecipe.name) + ": " + why); }

/// Values that fit the wire but no meaning.
bool sensible(const ContainerRecipe& recipe) {
  for (const MountOp& op : recipe.mounts) {
    if (op.kind > MountKind::kMask) return false;
  }
  return recipe.network <= Network::kBridge;
}

bool sensible(const AttemptRecipe& recipe) {
  const bool asks = recipe.probe && recipe.probe->timeout > std::chrono::nanoseconds{};
  return sensible(recipe.logs.policy) && (recipe.probe ? asks : !recipe.argv.empty());
}

bool sensible(const DrainRecipe& recipe) { return sensible(recipe.logs.policy); }

template <class T>
Result<Recipe> decode_body(Decoder& decoder) {
  T recipe;
  decoder(recipe);
  if (!decoder.complete()) return refused("its parts do not fill its length");
  if (!sensible(recipe)) return refused("it holds an unknown kind or mode, or no program");
  return Recipe(std::move(recipe));
}

}  // namespace

bool sensible(const LogPolicy& log) {
  return log.destination <= LogDestination::kNone && log.mode <= LogMode::kRotate && log.when_full <= WhenFull::kDrop;
}

std::string encode_recipe(const Recipe& recipe) {
  Encoder body;
  if (const auto* container = std::get_if<ContainerRecipe>(&recipe)) {
    body(Kind::kContainer, *container);
  } else if (const auto* attempt = std::get_if<AttemptRecipe>(&recipe)) {
    body(Kind::kAttempt, *attempt);
  } else {
    body(Kind::kDrain, std::get<DrainRecipe>(recipe));
  }
  return wrap_document(kRecipe, body.bytes());
}

Result<Recipe> decode_recipe(std::string_view bytes) {
  Kind kind{};
  Decoder decoder(DEWAR_TRY(unwrap_document(kRecipe, bytes)));
  decoder(kind);
  switch (kind) {
    case Kind::kContainer:
      return decode_body<ContainerRecipe>(decoder);
    case Kind::kAttempt:
      return decode_body<AttemptRecipe>(decoder);
    case Kind::kDrain:
      return decode_body<DrainRecipe>(decoder);
  }
  return refused("it is of an unknown kind");
}

}  // namespace dewar
