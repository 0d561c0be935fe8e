#include "agent/cli/paint.h"

#include <algorithm>
#include <iterator>

#include "base/utf8.h"

namespace dewar {
namespace {

const char* code_of(Tone tone) {
  switch (tone) {
    case Tone::kPlain:
      return "";
    case Tone::kBold:
      return "1";
    case Tone::kFaint:
      return "2";
    case Tone::kGood:
      return "32";
    case Tone::kBusy:
      return "36";
    case Tone::kWarn:
      return "33";
    case Tone::kBad:
      return "31";
  }
  return "";
}

bool is_set(const char* value) { return value != nullptr && *value != '\0'; }

bool speaks_utf8(const Environment& environment) {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = environment(name);
    if (!is_set(value)) continue;
    const std::string_view locale = value;
    return locale.find("UTF-8") != locale.npos || locale.find("utf8") != locale.npos ||
           locale.find("utf-8") != locale.npos;
  }
  return false;
}

char32_t decode(std::string_view character) {
  if (character.size() == 1) return static_cast<unsigned char>(character[0]);
  char32_t code = static_cast<unsigned char>(character[0]) & (0xFFu >> (character.size() + 1));
  for (const char byte : character.substr(1)) code = code << 6 | (static_cast<unsigned char>(byte) & 0x3Fu);
  return code;
}

struct Range {
  char32_t first, last;
};
/// Unicode 15, East Asian Width W and F (rounded to whole blocks), and the marks that stand over other characters.
constexpr Range kWide[] = {{0x1100, 0x115F},   {0x2E80, 0x303E},  {0x3041, 0xA4CF}, {0xAC00, 0xD7A3},
                           {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},  {0xFF00, 0xFF60}, {0xFFE0, 0xFFE6},
                           {0x1F300, 0x1FAFF}, {0x20000, 0x3FFFD}};
constexpr Range kMarks[] = {{0x300, 0x36F}, {0x1AB0, 0x1AFF}, {0x200B, 0x200F}, {0x20D0, 0x20FF}, {0xFE00, 0xFE0F}};

std::size_t width_of(char32_t code) {
  const auto holds = [code](const Range& range) { return range.first <= code && code <= range.last; };
  if (std::any_of(std::begin(kMarks), std::end(kMarks), holds)) return 0;
  return std::any_of(std::begin(kWide), std::end(kWide), holds) ? 2 : 1;
}

}  // namespace

std::string Paint::tone(Tone tone, std::string_view text) const {
  if (!color || tone == Tone::kPlain || text.empty()) return std::string(text);
  return "\x1b[" + std::string(code_of(tone)) + "m" + std::string(text) + "\x1b[0m";
}

std::string Paint::hue(std::size_t number, std::string_view text) const {
  // Of the 256 colours: as far from white as from black, and not those of warnings and failures.
  constexpr const char* kHues[] = {"30", "163", "27", "64", "98", "132"};
  if (!color || text.empty()) return std::string(text);
  return "\x1b[38;5;" + std::string(kHues[number % std::size(kHues)]) + "m" + std::string(text) + "\x1b[0m";
}

Paint choose_paint(ColorWish wish, bool terminal, const Environment& environment) {
  Paint paint{.utf8 = speaks_utf8(environment)};
  const char* force = environment("CLICOLOR_FORCE");
  if (wish != ColorWish::kAuto) {
    paint.color = wish == ColorWish::kAlways;
  } else if (is_set(environment("NO_COLOR"))) {
    paint.color = false;
  } else if (is_set(force) && std::string_view(force) != "0") {
    paint.color = true;
  } else {
    const char* term = environment("TERM");
    paint.color = terminal && is_set(term) && std::string_view(term) != "dumb";
  }
  return paint;
}

std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t size = utf8_size(text);
    const char32_t code = size == 0 ? 0 : decode(text.substr(0, size));
    const bool control = code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x2028 || code == 0x2029 ||
                         (code >= 0x202A && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
    if (control) {
      out += '?';
    } else {
      out += text.substr(0, size);
    }
    text.remove_prefix(std::max<std::size_t>(size, 1));
  }
  return out;
}

std::size_t columns_of(std::string_view text) {
  std::size_t columns = 0;
  while (!text.empty()) {
    const std::size_t size = std::max<std::size_t>(utf8_size(text), 1);
    columns += width_of(decode(text.substr(0, size)));
    text.remove_prefix(size);
  }
  return columns;
}

std::string cut_to(std::string_view text, std::size_t columns, const Paint& paint) {
  if (columns_of(text) <= columns) return std::string(text);
  if (columns == 0) return {};
  std::string out;
  std::size_t used = 0;
  while (!text.empty()) {
    const std::size_t size = std::max<std::size_t>(utf8_size(text), 1);
    const std::size_t width = width_of(decode(text.substr(0, size)));
    if (used + width > columns - 1) break;
    used += width;
    out += text.substr(0, size);
    text.remove_prefix(size);
  }
  return out + (paint.utf8 ? "…" : "~");
}

std::string cut_middle(std::string_view text, std::size_t columns, const Paint& paint) {
  if (columns_of(text) <= columns) return std::string(text);
  const std::size_t tail = columns / 3;
  std::string out = cut_to(text, columns - tail, paint);
  while (columns_of(text) > tail) text.remove_prefix(std::max<std::size_t>(utf8_size(text), 1));
  return out.append(text);
}

std::vector<std::string> wrapped(std::string text, std::size_t columns) {
  constexpr Paint kPlain{};
  std::vector<std::string> pieces;
  while (columns_of(text) > columns) {
    const std::size_t fits = cut_to(text, columns + 1, kPlain).size() - 1;  // the sign of the cut is one byte
    const std::size_t blank = text.rfind(' ', fits);
    const std::size_t end = blank == std::string::npos || blank < fits / 2 ? fits : blank;
    pieces.push_back(text.substr(0, end));
    text.erase(0, text[end] == ' ' ? end + 1 : end);
  }
  pieces.push_back(text);
  return pieces;
}

}  // namespace dewar
