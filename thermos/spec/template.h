// {{references}} in texts, as in Thermos: an identifier, then .identifier or [name] as often as wanted, no spaces.
// {{&x}} stands for a literal {{x}}.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace dewar {

/// What a reference stands for.
struct Meaning {
  enum class Kind { kValue, kLater, kNone } kind = Kind::kNone;
  std::string text;  ///< kValue: the value; kNone: words why there is none (empty: already told)
};
inline Meaning means(std::string value) { return {Meaning::Kind::kValue, std::move(value)}; }
/// The reference stays as it is, to be filled in later.
inline Meaning means_later() { return {Meaning::Kind::kLater, {}}; }
inline Meaning means_nothing(std::string why) { return {Meaning::Kind::kNone, std::move(why)}; }

using Resolve = std::function<Meaning(const std::string& reference)>;

struct Expansion {
  std::string text;
  bool ok = true;
  std::vector<std::string> problems;  ///< in words; may be empty without ok, see Meaning
};

constexpr int kMaxRounds = 100;
constexpr std::size_t kMaxExpandedSize = 1u << 20;   ///< bytes
constexpr std::size_t kExpansionBudget = 16u << 20;  ///< for all texts of one task

/// Replaces the innermost references until none is left but those of later, so {{a{{b}}}} works; at most kMaxRounds
/// rounds. `budget` is the work that this and further calls may still do: a byte read costs 1, a reference 64 more.
Expansion expand(std::string text, const Resolve& resolve, std::size_t& budget);

/// {{&x}} -> {{x}}; for texts in which nothing is to be filled in any more.
std::string unescape(std::string_view text);

/// The parts of a reference, "a.b[c]" -> a, b, c; none if `reference` is not one.
std::vector<std::string> split_reference(std::string_view reference);

}  // namespace dewar
