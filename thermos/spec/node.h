// What a task file holds before anybody asks what it means: texts, lists and maps, each with its place. YAML and JSON
// become the same tree, so everything above knows one form.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "thermos/spec/complaint.h"

namespace dewar {

/// 1-based line and column; the column counts bytes until read_task() turns it into characters.
struct Place {
  int line = 0, column = 0;
};

struct Node {
  enum class Kind : std::uint8_t { kNull, kText, kList, kMap };

  Kind kind = Kind::kNull;
  Place place;
  std::string text;         ///< kText: as written, whether it stood in quotes or not
  bool quoted = false;      ///< kText of JSON: it did
  std::vector<Node> items;  ///< of a list, or of a map: then each has a key
  std::string key;
  Place key_place;

  /// The value of a map's key; null if there is none, or if it is a kNull: "key:" without a value is as good as none.
  const Node* find(std::string_view name) const;
};

// No input may cost more than this.
constexpr std::size_t kMaxFileSize = 1u << 20;  ///< bytes
constexpr int kMaxDepth = 32;                   ///< lists and maps within each other
constexpr std::size_t kMaxNodes = 100'000;      ///< texts, lists and maps

struct ParsedTree {
  std::optional<Node> root;  ///< only when there is no complaint
  std::vector<Complaint> complaints;
};

/// One YAML document. Anchors may stand, but aliases and tags (other than !!str) are refused: an alias can make a small
/// file huge. A key that stands twice in a map is a complaint.
ParsedTree parse_yaml(const std::string& text);

/// JSON by RFC 8259. Of a key that stands twice the last one counts, as for Python's reader.
ParsedTree parse_json(std::string_view text);

}  // namespace dewar
