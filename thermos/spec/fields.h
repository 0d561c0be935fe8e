// Typed reading of a Node tree, by Thermos's type rules: a number may stand in quotes, a text may be a number, a
// Boolean is true, false or a number in any case of letters, null is as good as absent. Every struct has one table of
// its fields.
#pragma once

#include <algorithm>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "thermos/spec/scope.h"

namespace dewar {

class Reading;

/// One field of T in a file: its keyword and what reads it. The default is T's own.
template <class T>
struct Field {
  std::string_view key;
  void (*read)(Reading& reading, const Node& node, T& out);
};

constexpr std::uint64_t kMaxCount = std::numeric_limits<std::int32_t>::max();  ///< Thermos's Integer goes as far
constexpr std::uint64_t kMaxBytes = std::numeric_limits<std::int64_t>::max();
constexpr Duration kMaxSpan = std::chrono::hours(24 * 366);

class Reading {
 public:
  /// `strict`: a person's file, in which an unknown key is a complaint and odd things are warned of.
  explicit Reading(bool strict)
      : scope([this](Place place, std::string words) { complain(place, std::move(words)); }), strict_(strict) {}
  Reading(const Reading&) = delete;

  bool strict() const { return strict_; }
  void complain(Place place, std::string words) { tell(place, std::move(words), false); }
  /// Told in a person's file only.
  void warn(Place place, std::string words) {
    if (strict_) tell(place, std::move(words), true);
  }
  std::vector<Complaint> take_complaints() { return std::move(told_); }

  // Each reads one value into `out` and returns true, or complains, leaves `out` and returns false.
  bool text(const Node& node, std::string& out);
  bool whole(const Node& node, std::uint64_t& out, std::uint64_t low = 0, std::uint64_t high = kMaxCount);
  bool number(const Node& node, double& out, double low, double high);
  bool truth(const Node& node, bool& out);
  bool bytes(const Node& node, std::uint64_t& out, std::uint64_t low = 0);
  bool span(const Node& node, Duration& out, Duration low = {});
  template <class E>
  bool choice(const Node& node, E& out, std::initializer_list<std::pair<std::string_view, E>> options);

  bool is_list(const Node& node);
  bool is_map(const Node& node);

  /// Reads a map by its table.
  template <class T, std::size_t N>
  void fields(const Node& map, const Field<T> (&table)[N], T& out);

  /// "'max_failures' must be <what>, found 'lots'".
  bool wrong(const Node& node, const std::string& what);

  Scope scope;

 private:
  void tell(Place place, std::string words, bool warning);
  void unknown_key(const Node& item, const std::vector<std::string>& known);

  std::vector<Complaint> told_;
  bool strict_;
};

/// How a complaint names a value: "'max_failures'", or "this item" in a list.
std::string label(const Node& node);
/// "'lots'", "a list", "nothing".
std::string describe(const Node& node);
/// A text as complaints quote it: cut after some 40 bytes, without control characters.
std::string quoted(std::string_view text);

template <class T, std::size_t N>
void Reading::fields(const Node& map, const Field<T> (&table)[N], T& out) {
  if (!is_map(map)) return;
  for (const Node& item : map.items) {
    const auto* field =
        std::find_if(std::begin(table), std::end(table), [&](const auto& f) { return f.key == item.key; });
    if (field == std::end(table)) {
      if (!strict_) continue;
      std::vector<std::string> known;
      for (const Field<T>& f : table) known.emplace_back(f.key);
      unknown_key(item, known);
    } else if (item.kind != Node::Kind::kNull) {
      field->read(*this, item, out);
    }
  }
}

template <class E>
bool Reading::choice(const Node& node, E& out, std::initializer_list<std::pair<std::string_view, E>> options) {
  std::string word, names;
  if (!text(node, word)) return false;
  for (const auto& [name, value] : options) {
    if (name == word) {
      out = value;
      return true;
    }
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  return wrong(node, "one of " + names);
}

// What tables are made of: fields that go straight into a member.
template <auto M, class T>
void text_field(Reading& reading, const Node& node, T& out) {
  reading.text(node, out.*M);
}
template <auto M, std::uint64_t kLow = 0, std::uint64_t kHigh = kMaxCount, class T>
void whole_field(Reading& reading, const Node& node, T& out) {
  std::uint64_t value = 0;
  if (reading.whole(node, value, kLow, kHigh)) out.*M = static_cast<std::remove_reference_t<decltype(out.*M)>>(value);
}
template <auto M, class T>
void truth_field(Reading& reading, const Node& node, T& out) {
  reading.truth(node, out.*M);
}
template <auto M, class T>
void span_field(Reading& reading, const Node& node, T& out) {
  reading.span(node, out.*M);
}
/// A field that other programs read: accepted, without meaning here.
template <class T>
void unused_field(Reading& reading, const Node& node, T&) {
  reading.warn(node.key_place, label(node) + " has no effect here");
}

}  // namespace dewar
