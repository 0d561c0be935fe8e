#include "isolation/launch/http_answer.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace dewar {
namespace {

constexpr std::size_t kMostShown = 120;  // of a body
constexpr std::string_view kBlank = " \t\r\n\v\f";

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

bool same(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

bool contains_word(std::string_view text, std::string_view word) {
  for (std::size_t at = 0; at + word.size() <= text.size(); ++at)
    if (same(text.substr(at, word.size()), word)) return true;
  return false;
}

/// The first line, and no more than can be shown.
std::string shown(std::string_view text) {
  text = trimmed(text);
  return std::string(text.substr(0, std::min(text.find('\n'), kMostShown)));
}

std::optional<std::uint64_t> number(std::string_view text, int base) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size()) return {};
  return value;
}

/// Cuts a line off, without its end; nothing while there is no end.
std::optional<std::string_view> cut_line(std::string_view& bytes) {
  const std::size_t end = bytes.find('\n');
  if (end == std::string_view::npos) return {};
  std::string_view line = bytes.substr(0, end);
  bytes.remove_prefix(end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

/// What a head says of the body behind it.
struct Framing {
  bool chunked = false;
  std::optional<std::uint64_t> length;
};

void refuse(HttpAnswer& answer, std::string words) {
  answer.state = HttpAnswer::State::kWrong;
  answer.words = std::move(words);
}

/// "HTTP/1.1 404 Not Found"
bool read_status_line(std::string_view line, HttpAnswer& answer) {
  constexpr std::string_view kVersion = "HTTP/1.";
  const std::size_t blank = line.find(' ');
  if (!line.starts_with(kVersion) || blank != kVersion.size() + 1) return false;
  const auto code = number(line.substr(blank + 1, 3), 10);
  const std::string_view rest = line.substr(std::min(blank + 4, line.size()));
  if (!code || *code < 100 || *code > 999 || (!rest.empty() && rest[0] != ' ')) return false;
  answer.code = static_cast<int>(*code);
  answer.reason = trimmed(rest);
  return true;
}

bool read_header(std::string_view line, Framing& framing) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return true;  // nobody's business
  const std::string_view name = line.substr(0, colon), value = trimmed(line.substr(colon + 1));
  if (same(name, "Transfer-Encoding") && contains_word(value, "chunked")) framing.chunked = true;
  if (!same(name, "Content-Length")) return true;
  const auto length = number(value, 10);
  if (!length || (framing.length && *framing.length != *length)) return false;
  framing.length = length;
  return true;
}

/// Cuts a head off. False while it is not whole, or once it is wrong.
bool read_head(std::string_view& bytes, bool ended, HttpAnswer& answer, Framing& framing) {
  constexpr std::string_view kBegin = "HTTP/1.";
  const std::size_t known = std::min(bytes.size(), kBegin.size());
  if (bytes.substr(0, known) != kBegin.substr(0, known)) {
    refuse(answer, "answered what is no HTTP: '" + shown(bytes) + "'");
    return false;
  }
  const std::string_view all = bytes;
  for (bool first = true;; first = false) {
    const auto line = cut_line(bytes);
    if (all.size() - (line ? bytes.size() : 0) > HttpAnswer::kMostHead) {
      refuse(answer, "answered with headers that have no end");
      return false;
    }
    if (!line) {
      if (ended) refuse(answer, all.empty() ? "closed the connection without an answer" : "answered half a head");
      return false;
    }
    if (!first && line->empty()) return true;
    if (!(first ? read_status_line(*line, answer) : read_header(*line, framing))) {
      refuse(answer, "answered what is no HTTP: '" + shown(*line) + "'");
      return false;
    }
  }
}

/// Adds to the body. False once that has enough.
bool add(HttpAnswer& answer, std::string_view bytes) {
  const std::size_t room = HttpAnswer::kMostBody - answer.body.size();
  answer.body += bytes.substr(0, room);
  if (bytes.size() <= room) return true;
  answer.cut = true;
  answer.state = HttpAnswer::State::kWhole;
  return false;
}

void end_early(HttpAnswer& answer, bool ended) {
  if (ended) refuse(answer, "closed the connection within its answer");
}

void read_chunks(std::string_view bytes, bool ended, HttpAnswer& answer) {
  for (;;) {
    const auto line = cut_line(bytes);
    if (!line) return end_early(answer, ended);
    const auto size = number(trimmed(line->substr(0, line->find(';'))), 16);
    if (!size) return refuse(answer, "answered a broken chunk");
    if (*size == 0) {  // what may follow is of no interest
      answer.state = HttpAnswer::State::kWhole;
      return;
    }
    if (!add(answer, bytes.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(*size, bytes.size()))))) return;
    if (bytes.size() <= *size) return end_early(answer, ended);
    bytes.remove_prefix(static_cast<std::size_t>(*size));
    const auto end = cut_line(bytes);
    if (end && !end->empty()) return refuse(answer, "answered a broken chunk");
    if (!end) return bytes.size() > 1 ? refuse(answer, "answered a broken chunk") : end_early(answer, ended);
  }
}

void read_body(std::string_view bytes, bool ended, const Framing& framing, HttpAnswer& answer) {
  constexpr int kNoContent = 204, kNotModified = 304;
  const bool has_none = answer.code == kNoContent || answer.code == kNotModified;
  if (framing.chunked && !has_none) return read_chunks(bytes, ended, answer);
  if (framing.length && !has_none) {
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(*framing.length, bytes.size()));
    if (!add(answer, bytes.substr(0, size))) return;
    if (size < *framing.length) return end_early(answer, ended);
  } else if (!has_none && (!add(answer, bytes) || !ended)) {
    return;
  }
  answer.state = HttpAnswer::State::kWhole;
}

}  // namespace

HttpAnswer read_http_answer(std::string_view bytes, bool ended) {
  HttpAnswer answer;
  for (;;) {
    answer = {};
    Framing framing;
    if (!read_head(bytes, ended, answer, framing)) {
      answer.code = 0;
      return answer;
    }
    constexpr int kSwitching = 101;
    if (answer.code >= 200 || answer.code == kSwitching) {
      read_body(bytes, ended, framing, answer);
      return answer;
    }
  }
}

std::string http_request(const HttpProbe& probe) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string path;
  for (const char c : probe.path) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > 0x20 && byte < 0x7f) {
      path += c;
    } else {
      path += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return "GET " + path + " HTTP/1.1\r\nHost: localhost:" + std::to_string(probe.port) +
         "\r\nUser-Agent: dewar\r\nAccept: */*\r\nConnection: close\r\n\r\n";
}

bool needs_body(const HttpProbe& probe, const HttpAnswer& answer) {
  const bool expected = probe.expected_code == 0 || answer.code == static_cast<int>(probe.expected_code);
  return !expected || !trimmed(probe.expected_body).empty();
}

ProbeVerdict judge(const HttpProbe& probe, const HttpAnswer& answer) {
  ProbeVerdict verdict{true, "answered " + std::to_string(answer.code)};
  if (!answer.reason.empty()) verdict.words += " " + answer.reason;
  const std::string body = shown(answer.body);
  if (probe.expected_code != 0 && answer.code != static_cast<int>(probe.expected_code)) {
    verdict.passed = false;
    verdict.words += " instead of " + std::to_string(probe.expected_code);
    if (!body.empty()) verdict.words += ": '" + body + "'";
    return verdict;
  }
  const std::string_view expected = trimmed(probe.expected_body);
  if (expected.empty() || (!answer.cut && same(trimmed(answer.body), expected))) return verdict;
  verdict.passed = false;
  verdict.words += ": " + (body.empty() ? "nothing" : "'" + body + "'") + " instead of '" + shown(expected) + "'";
  return verdict;
}

}  // namespace dewar
