// yaml-cpp reads much of JSON, but not all: it knows neither "\/" nor surrogate pairs, and no tab between tokens.
#include <algorithm>
#include <map>

#include "base/utf8.h"
#include "thermos/spec/node.h"

namespace dewar {
namespace {

class JsonReader {
 public:
  explicit JsonReader(std::string_view text) : text_(text) {}

  ParsedTree read() {
    Node root;
    skip_space();
    if (value(root, 0)) {
      skip_space();
      if (at_ < text_.size()) refuse("nothing may follow the closing bracket");
    }
    if (complaint_) return {std::nullopt, {*complaint_}};
    return {std::move(root), {}};
  }

 private:
  bool refuse(const std::string& why) {
    if (!complaint_) complaint_ = Complaint{here().line, here().column, "not JSON: " + why};
    return false;
  }
  Place here() const { return {line_, static_cast<int>(at_ - line_start_) + 1}; }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool take(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }

  void skip_space() {
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '\n') ++line_, line_start_ = at_ + 1;
      if (c != ' ' && c != '\t' && c != '\n' && c != '\r') return;
    }
  }

  bool value(Node& node, int depth) {
    if (++count_ > kMaxNodes) return refuse("more than " + std::to_string(kMaxNodes) + " values");
    node.place = here();
    const char c = peek();
    if (c == '{' || c == '[') {
      if (depth >= kMaxDepth) return refuse("nested deeper than " + std::to_string(kMaxDepth) + " levels");
      ++at_;
      return c == '{' ? object(node, depth + 1) : list(node, depth + 1);
    }
    if (c == '"') {
      node.kind = Node::Kind::kText;
      node.quoted = true;
      return string(node.text);
    }
    return word(node);
  }

  bool object(Node& node, int depth) {
    node.kind = Node::Kind::kMap;
    std::map<std::string, std::size_t> index;
    for (skip_space(); !take('}'); skip_space()) {
      if (!node.items.empty() && !take(',')) return refuse("expected ',' or '}'");
      skip_space();
      Node item;
      item.key_place = here();
      if (peek() != '"') return refuse("expected a key in double quotes");
      if (!string(item.key)) return false;
      skip_space();
      if (!take(':')) return refuse("expected ':'");
      skip_space();
      if (!value(item, depth)) return false;
      const auto [earlier, is_new] = index.emplace(item.key, node.items.size());
      if (is_new) {
        node.items.push_back(std::move(item));
      } else {
        node.items[earlier->second] = std::move(item);
      }
    }
    return true;
  }

  bool list(Node& node, int depth) {
    node.kind = Node::Kind::kList;
    for (skip_space(); !take(']'); skip_space()) {
      if (!node.items.empty() && !take(',')) return refuse("expected ',' or ']'");
      skip_space();
      if (!value(node.items.emplace_back(), depth)) return false;
    }
    return true;
  }

  /// null, true, false or a number.
  bool word(Node& node) {
    const std::size_t start = at_;
    while (at_ < text_.size() && std::string_view(" \t\r\n,:]}[{\"").find(text_[at_]) == std::string_view::npos) ++at_;
    const std::string_view word = text_.substr(start, at_ - start);
    if (word == "null") return true;
    node.kind = Node::Kind::kText;
    node.text = word;
    if (word == "true" || word == "false" || is_number(word)) return true;
    at_ = start;
    return refuse(word.empty() ? "expected a value"
                               : "expected a value, found '" + std::string(word.substr(0, 40)) + "'");
  }

  static bool is_number(std::string_view word) {
    const auto skip = [&](std::string_view set) {
      if (word.empty() || set.find(word.front()) == std::string_view::npos) return false;
      word.remove_prefix(1);
      return true;
    };
    const auto digits = [&] {
      bool any = false;
      while (skip("0123456789")) any = true;
      return any;
    };
    skip("-");
    if (!skip("0") && !digits()) return false;
    if (skip(".") && !digits()) return false;
    if (skip("eE")) {
      skip("+-");
      if (!digits()) return false;
    }
    return word.empty();
  }

  bool string(std::string& out) {
    ++at_;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (static_cast<unsigned char>(c) < 0x20) return refuse("a control character in a string");
      ++at_;
      if (c == '"') return true;
      if (c != '\\') {
        out += c;
      } else if (!escape(out)) {
        return false;
      }
    }
    return refuse("a string without its closing quote");
  }

  bool escape(std::string& out) {
    constexpr std::string_view kNames = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
    const char c = peek();
    if (const std::size_t i = kNames.find(c); i != std::string_view::npos && at_ < text_.size()) {
      ++at_;
      out += kMeanings[i];
      return true;
    }
    char32_t code = 0;
    if (!take('u') || !hex(code)) return refuse("an unknown escape in a string");
    if (code >= 0xD800 && code <= 0xDBFF) {
      char32_t low = 0;
      if (!take('\\') || !take('u') || !hex(low) || low < 0xDC00 || low > 0xDFFF) return refuse(kHalf);
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    } else if (code >= 0xDC00 && code <= 0xDFFF) {
      return refuse(kHalf);
    }
    append_utf8(out, code);
    return true;
  }

  bool hex(char32_t& code) {
    for (int i = 0; i < 4; ++i, ++at_) {
      const char c = peek();
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) return false;
      code = code * 16 + static_cast<char32_t>(digit);
    }
    return true;
  }

  static constexpr const char* kHalf = "half of a surrogate pair in a string";
  std::string_view text_;
  std::size_t at_ = 0, line_start_ = 0, count_ = 0;
  int line_ = 1;
  std::optional<Complaint> complaint_;
};

}  // namespace

ParsedTree parse_json(std::string_view text) { return JsonReader(text).read(); }

}  // namespace dewar
