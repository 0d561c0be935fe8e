#pragma once

#include <charconv>
#include <concepts>
#include <string>
#include <string_view>
#include <vector>

namespace dewar {

/// Writes JSON (RFC 8259) from front to back. The caller keeps the grammar: a key before each value of an object, an
/// end for each begin. Strings may hold any bytes: what is not UTF-8 becomes U+FFFD.
///
///   JsonWriter json;
///   json.begin_object().field("name", "web").key("ports").begin_array().value(80).end_array().end_object();
class JsonWriter {
 public:
  enum class Style { kCompact, kPretty };  ///< one line; or indented by two, an item a line
  explicit JsonWriter(Style style = Style::kCompact) : pretty_(style == Style::kPretty) {}

  JsonWriter& begin_object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& begin_array() { return open('['); }
  JsonWriter& end_array() { return close(']'); }

  JsonWriter& key(std::string_view name);
  JsonWriter& value(std::string_view text);
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(const std::string& text) { return value(std::string_view(text)); }
  JsonWriter& value(bool truth) { return raw(truth ? "true" : "false"); }
  /// The shortest form that reads back as the same number, always with a point or an exponent; null if not finite.
  JsonWriter& value(double number);
  template <std::integral T>
  requires(!std::same_as<T, bool>) JsonWriter& value(T number) {
    char digits[24];
    return raw({digits, std::to_chars(digits, digits + sizeof digits, number).ptr});
  }
  JsonWriter& null() { return raw("null"); }

  template <class T>
  JsonWriter& field(std::string_view name, const T& content) {
    return key(name).value(content);
  }

  /// The text so far; the writer is then as new.
  std::string take();

 private:
  JsonWriter& open(char bracket);
  JsonWriter& close(char bracket);
  JsonWriter& raw(std::string_view text);
  void separate();
  void new_line();
  void quote(std::string_view text);

  std::string text_;
  std::vector<bool> filled_;  // one per open bracket: has it an item yet?
  bool after_key_ = false;
  bool pretty_;
};

/// JSON that a writer has made on one line, as Style::kPretty writes it.
std::string indented(std::string_view json);

}  // namespace dewar
