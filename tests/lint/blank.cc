#include <algorithm>
#include <cctype>
#include <string_view>

#include "tests/lint/rules.h"

namespace dewar::lint {
namespace {

/// How many characters the literal or comment at the start of `rest` takes; 0 if there is none.
std::size_t skip_comment(std::string_view rest) {
  if (rest.starts_with("//")) return std::min(rest.find('\n'), rest.size());
  if (!rest.starts_with("/*")) return 0;
  const std::size_t end = rest.find("*/", 2);
  return end == std::string_view::npos ? rest.size() : end + 2;
}

std::size_t skip_raw_string(std::string_view rest) {
  if (!rest.starts_with("R\"")) return 0;
  const std::size_t open = rest.find('(');
  if (open == std::string_view::npos) return 0;
  const std::string close = ")" + std::string(rest.substr(2, open - 2)) + "\"";
  const std::size_t end = rest.find(close, open);
  return end == std::string_view::npos ? rest.size() : end + close.size();
}

std::size_t skip_quoted(std::string_view rest) {
  if (rest[0] != '"' && rest[0] != '\'') return 0;
  std::size_t at = 1;
  while (at < rest.size() && rest[at] != rest[0] && rest[at] != '\n') at += rest[at] == '\\' ? 2 : 1;
  return std::min(at + 1, rest.size());
}

}  // namespace

std::string blank_literals(const std::string& text) {
  std::string out = text;
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view rest = std::string_view(text).substr(at);
    const bool in_word = at > 0 && (std::isalnum(static_cast<unsigned char>(text[at - 1])) != 0 || text[at - 1] == '_');
    std::size_t size = skip_comment(rest);
    if (size == 0 && !in_word) size = skip_raw_string(rest);
    const bool separator = in_word && rest[0] == '\'';  // 1'000'000
    if (size == 0 && !separator) size = skip_quoted(rest);
    for (std::size_t i = at; i < at + size; ++i) {
      if (out[i] != '\n') out[i] = ' ';
    }
    at += std::max<std::size_t>(size, 1);
  }
  return out;
}

}  // namespace dewar::lint
