#include "thermos/logs/log_item.h"

#include <charconv>

namespace dewar {
namespace {

struct Name {
  std::string_view name, words;
};

Name names_of(Missing missing) {
  switch (missing) {
    case Missing::kQuota:
      return {"quota", to_words(GapReason::kQuota)};
    case Missing::kRate:
      return {"rate", to_words(GapReason::kRate)};
    case Missing::kDisk:
      return {"disk", to_words(GapReason::kDisk)};
    case Missing::kDropped:
      return {"dropped", to_words(GapReason::kDropped)};
    case Missing::kLostPump:
      return {"lost_pump", to_words(GapReason::kLostPump)};
    case Missing::kRemoved:
      return {"removed", "rotated away"};
    case Missing::kUnreadable:
      return {"unreadable", "file damaged"};
  }
  return {"removed", ""};
}

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

constexpr std::string_view kHex = "0123456789ABCDEF";

std::string encode_name(std::string_view name) {
  std::string text;
  for (const char c : name) {
    if (is_plain(c)) {
      text += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      text += {'%', kHex[byte >> 4], kHex[byte & 15u]};
    }
  }
  return text;
}

std::optional<std::string> decode_name(std::string_view text) {
  std::string name;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (is_plain(text[i])) {
      name += text[i];
    } else if (text[i] == '%' && i + 2 < text.size()) {
      const std::size_t high = kHex.find(text[i + 1]), low = kHex.find(text[i + 2]);
      if (high == kHex.npos || low == kHex.npos) return std::nullopt;
      name += static_cast<char>(high << 4 | low);
      i += 2;
    } else {
      return std::nullopt;
    }
  }
  if (name.empty()) return std::nullopt;
  return name;
}

template <class T>
bool parse_number(std::string_view text, T& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

std::optional<LogCursor> parse_cursor(std::string_view text) {
  const std::size_t hash = text.find('#'), first = text.find(':', hash), second = text.find(':', first + 1);
  if (hash == text.npos || first == text.npos || second == text.npos) return std::nullopt;
  const auto name = decode_name(text.substr(0, hash));
  if (!name) return std::nullopt;
  LogCursor cursor{.process = *name};
  const std::string_view stream = text.substr(first + 1, second - first - 1);
  if (stream != "stdout" && stream != "stderr") return std::nullopt;
  cursor.stream = stream == "stdout" ? OutputStream::kStdout : OutputStream::kStderr;
  if (!parse_number(text.substr(hash + 1, first - hash - 1), cursor.run)) return std::nullopt;
  const std::size_t third = text.find(':', second + 1);
  if (!parse_number(text.substr(second + 1, third - second - 1), cursor.position)) return std::nullopt;
  if (third != text.npos && !parse_number(text.substr(third + 1), cursor.other.emplace())) return std::nullopt;
  return cursor;
}

}  // namespace

std::string_view name_of(Missing missing) { return names_of(missing).name; }
std::string_view words_of(Missing missing) { return names_of(missing).words; }

Missing missing_for(GapReason reason) {
  switch (reason) {
    case GapReason::kQuota:
      return Missing::kQuota;
    case GapReason::kRate:
      return Missing::kRate;
    case GapReason::kDropped:
      return Missing::kDropped;
    case GapReason::kLostPump:
      return Missing::kLostPump;
    case GapReason::kNone:
    case GapReason::kDisk:
      break;
  }
  return Missing::kDisk;
}

std::string to_string(const LogCursor& cursor) {
  const std::string place = encode_name(cursor.process) + "#" + std::to_string(cursor.run) + ":" +
                            std::string(file_name(cursor.stream)) + ":" + std::to_string(cursor.position);
  return cursor.other ? place + ":" + std::to_string(*cursor.other) : place;
}

Result<std::vector<LogCursor>> parse_cursors(std::string_view text) {
  std::vector<LogCursor> cursors;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view one = text.substr(begin, end - begin);
    const auto cursor = parse_cursor(one);
    if (!cursor) return fail("'" + std::string(one) + "' is no cursor: it looks like serve#0:stdout:1234");
    cursors.push_back(*cursor);
    begin = end + 1;
  }
  return cursors;
}

LogCursor cursor_of(const LogItem& item) {
  return {.process = std::string(item.process),
          .run = item.run,
          .stream = item.stream,
          .position = item.end,
          .other = item.other};
}

}  // namespace dewar
