#include "base/json_writer.h"

#include <algorithm>
#include <cmath>

#include "base/utf8.h"

namespace dewar {

JsonWriter& JsonWriter::key(std::string_view name) {
  separate();
  quote(name);
  text_ += pretty_ ? ": " : ":";
  after_key_ = true;
  return *this;
}

JsonWriter& JsonWriter::value(std::string_view text) {
  separate();
  quote(text);
  return *this;
}

JsonWriter& JsonWriter::value(double number) {
  if (!std::isfinite(number)) return null();
  char digits[32];
  std::string text(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return raw(text);
}

std::string JsonWriter::take() {
  std::string text = std::move(text_);
  text_.clear();
  filled_.clear();
  after_key_ = false;
  return text;
}

JsonWriter& JsonWriter::open(char bracket) {
  separate();
  text_ += bracket;
  filled_.push_back(false);
  return *this;
}

JsonWriter& JsonWriter::close(char bracket) {
  const bool had_items = filled_.back();
  filled_.pop_back();
  if (had_items) new_line();
  text_ += bracket;
  return *this;
}

JsonWriter& JsonWriter::raw(std::string_view text) {
  separate();
  text_ += text;
  return *this;
}

void JsonWriter::separate() {
  if (!after_key_ && !filled_.empty()) {
    if (filled_.back()) text_ += ',';
    filled_.back() = true;
    new_line();
  }
  after_key_ = false;
}

void JsonWriter::new_line() {
  if (!pretty_) return;
  text_ += '\n';
  text_.append(2 * filled_.size(), ' ');
}

void JsonWriter::quote(std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  const auto is_plain = [](char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; };
  text_ += '"';
  while (!text.empty()) {
    const auto plain = static_cast<std::size_t>(std::ranges::find_if_not(text, is_plain) - text.begin());
    text_ += text.substr(0, plain);
    text.remove_prefix(plain);
    if (text.empty()) break;
    const std::size_t size = utf8_size(text);
    const auto c = static_cast<unsigned char>(text.front());
    if (size == 0) {
      text_ += "\xEF\xBF\xBD";
    } else if (c == '"' || c == '\\') {
      text_ += '\\', text_ += text.front();
    } else if (c == '\n') {
      text_ += "\\n";
    } else if (c == '\t') {
      text_ += "\\t";
    } else if (c < 0x20 || c == 0x7F) {
      text_ += "\\u00", text_ += kHex[c >> 4], text_ += kHex[c & 15];
    } else {
      text_ += text.substr(0, size);
    }
    text.remove_prefix(size == 0 ? 1 : size);
  }
  text_ += '"';
}

std::string indented(std::string_view json) {
  std::string out;
  std::size_t depth = 0;
  bool in_text = false;
  const auto new_line = [&] { out.append(1, '\n').append(2 * depth, ' '); };
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i], next = i + 1 < json.size() ? json[i + 1] : '\0';
    const bool closes = c == '}' || c == ']', opens = c == '{' || c == '[';
    if (in_text || c == '"') {
      out += c;
      if (c == '\\' && next != '\0') out += json[++i];
      if (c == '"') in_text = !in_text;
      continue;
    }
    const bool empty = closes && i > 0 && (json[i - 1] == '{' || json[i - 1] == '[');
    if (closes && depth > 0) --depth;
    if (closes && !empty) new_line();
    out += c;
    if (c == ':') out += ' ';
    if (opens) ++depth;
    if (c == ',' || (opens && next != '}' && next != ']')) new_line();
  }
  return out;
}

}  // namespace dewar
