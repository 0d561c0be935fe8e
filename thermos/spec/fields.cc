#include "thermos/spec/fields.h"

#include <charconv>
#include <cmath>

#include "base/units.h"
#include "base/utf8.h"

namespace dewar {
namespace {

std::optional<double> to_number(const std::string& text) {
  double value = 0;
  const char* begin = text.data() + (text.starts_with('+') ? 1 : 0);
  const auto [end, error] = std::from_chars(begin, text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::string lower(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return text;
}

std::string short_number(double value) {
  char digits[32];
  return {digits, std::to_chars(digits, digits + sizeof digits, value, std::chars_format::fixed).ptr};
}

}  // namespace

std::string quoted(std::string_view text) {
  constexpr std::size_t kShown = 40;
  std::string shown = "'";
  while (!text.empty() && shown.size() <= kShown) {
    const std::size_t size = std::max<std::size_t>(1, utf8_size(text));
    shown += text.substr(0, size);
    text.remove_prefix(size);
  }
  return shown + (text.empty() ? "'" : "…'");
}

std::string label(const Node& node) { return node.key.empty() ? "this item" : quoted(node.key); }

std::string describe(const Node& node) {
  switch (node.kind) {
    case Node::Kind::kNull:
      return "nothing";
    case Node::Kind::kText:
      return quoted(node.text);
    case Node::Kind::kList:
      return "a list";
    case Node::Kind::kMap:
      return "a map";
  }
  return {};
}

/// Names in the words may hold anything that an escape in a file can make, and must not steer a terminal.
void Reading::tell(Place place, std::string words, bool warning) {
  for (char& c : words) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  }
  told_.push_back({place.line, place.column, std::move(words), warning});
}

bool Reading::wrong(const Node& node, const std::string& what) {
  complain(node.place, label(node) + " must be " + what + ", found " + describe(node));
  return false;
}

bool Reading::text(const Node& node, std::string& out) {
  if (node.kind != Node::Kind::kText) return wrong(node, "text");
  const std::string* filled_in = scope.text_of(node);
  if (!filled_in) return false;
  if (filled_in->find('\0') != std::string::npos) return wrong(node, "text without NUL characters");
  out = *filled_in;
  return true;
}

bool Reading::whole(const Node& node, std::uint64_t& out, std::uint64_t low, std::uint64_t high) {
  const std::string what = high == kMaxCount && low <= 1
                               ? std::string("a whole number") + (low == 1 ? " of at least 1" : "")
                               : "a whole number from " + std::to_string(low) + " to " + std::to_string(high);
  std::string word;
  if (node.kind != Node::Kind::kText) return wrong(node, what);
  if (!text(node, word)) return false;
  const std::optional<double> value = to_number(word);
  if (!value || *value != std::floor(*value)) return wrong(node, what);
  if (*value < 0 && low <= 1 && high == kMaxCount) return wrong(node, what + ", not negative");
  if (*value < static_cast<double>(low) || *value > static_cast<double>(high)) {
    return wrong(node, "a whole number from " + std::to_string(low) + " to " + std::to_string(high));
  }
  out = static_cast<std::uint64_t>(*value);
  return true;
}

bool Reading::number(const Node& node, double& out, double low, double high) {
  std::string word;
  if (node.kind != Node::Kind::kText) return wrong(node, "a number");
  if (!text(node, word)) return false;
  const std::optional<double> value = to_number(word);
  if (!value) return wrong(node, "a number");
  if (*value < low || *value > high) {
    return wrong(node, "a number from " + short_number(low) + " to " + short_number(high));
  }
  out = *value;
  return true;
}

bool Reading::truth(const Node& node, bool& out) {
  std::string word;
  if (node.kind != Node::Kind::kText) return wrong(node, "true or false");
  if (!text(node, word)) return false;
  word = lower(word);
  if (word == "true" || word == "false") {
    out = word == "true";
    return true;
  }
  const std::optional<double> value = to_number(word);
  if (!value) return wrong(node, "true or false");
  out = *value != 0;
  return true;
}

bool Reading::bytes(const Node& node, std::uint64_t& out, std::uint64_t low) {
  std::string word;
  if (node.kind != Node::Kind::kText) return wrong(node, "a size such as 128MB");
  if (!text(node, word)) return false;
  const auto value = parse_bytes(word);
  if (!value) return wrong(node, "a size such as 134217728, 128MB or 1.5GB");
  if (*value < low) return wrong(node, "at least " + format_bytes(low));
  out = *value;
  return true;
}

bool Reading::span(const Node& node, Duration& out, Duration low) {
  std::string word;
  if (node.kind != Node::Kind::kText) return wrong(node, "a time span such as 30s");
  if (!text(node, word)) return false;
  const auto value = parse_duration(word);
  if (!value) return wrong(node, "a time span such as 30, 30s, 500ms, 5m or 2h");
  if (*value < low) return wrong(node, "a time span above zero");
  if (*value > kMaxSpan) return wrong(node, "a time span of at most 366 days");
  out = *value;
  return true;
}

bool Reading::is_list(const Node& node) { return node.kind == Node::Kind::kList || wrong(node, "a list"); }
bool Reading::is_map(const Node& node) { return node.kind == Node::Kind::kMap || wrong(node, "a map of fields"); }

void Reading::unknown_key(const Node& item, const std::vector<std::string>& known) {
  std::string words = "unknown key " + quoted(item.key);
  const std::string guess = scope.guess(item.key, known);
  if (!guess.empty()) {
    words += guess;
  } else {
    words += "; known here are ";
    for (std::size_t i = 0; i < known.size(); ++i) words += (i ? ", " : "") + known[i];
  }
  complain(item.key_place, words);
}

}  // namespace dewar
