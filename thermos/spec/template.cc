#include "thermos/spec/template.h"

#include <algorithm>

namespace dewar {
namespace {

constexpr std::size_t kMaxProblems = 20;  // told of one text

bool is_word(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; }
bool is_in_brackets(char c) { return is_word(c) || c == '-' || c == '.' || c == '/'; }
bool is_in_reference(char c) { return is_in_brackets(c) || c == '[' || c == ']'; }

/// "{{inner}}" at [begin, end) of a text, with no brace inside.
struct Braced {
  std::size_t begin = 0, end = 0;
  std::string_view inner(std::string_view text) const { return text.substr(begin + 2, end - begin - 4); }
};

std::vector<Braced> find_braced(std::string_view text) {
  constexpr std::size_t kNone = std::string_view::npos;
  std::vector<Braced> found;
  std::size_t inner = kNone;  // where the text inside the last "{{" begins
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '{') {
      inner = i > 0 && text[i - 1] == '{' ? i + 1 : kNone;
    } else if (text[i] == '}') {
      const bool closes = inner != kNone && i > inner && i + 1 < text.size() && text[i + 1] == '}';
      if (closes) found.push_back({inner - 2, i + 2}), ++i;
      inner = kNone;
    }
  }
  return found;
}

/// True for the inner one of {{x_{{later}}}}: its outer one can never be known.
bool is_part_of_another(std::string_view text, const Braced& braced) {
  std::size_t left = braced.begin, right = braced.end;
  while (left > 0 && is_in_reference(text[left - 1])) --left;
  while (right < text.size() && is_in_reference(text[right])) ++right;
  return left >= 2 && text.substr(left - 2, 2) == "{{" && text.substr(right, 2) == "}}";
}

std::string not_a_reference(std::string_view inner) {
  const std::string shown(inner.substr(0, 60));
  const std::size_t first = inner.find_first_not_of(' '), last = inner.find_last_not_of(' ');
  std::string words = "'{{" + shown + "}}' is not a reference";
  if (first != std::string_view::npos && inner.size() != last - first + 1) {
    const std::string_view trimmed = inner.substr(first, last - first + 1);
    if (!split_reference(trimmed).empty()) {
      return words + ": no spaces may stand between the braces; write '{{" + std::string(trimmed) + "}}'";
    }
  }
  return words + "; to mean the braces themselves, write '{{&" + shown + "}}'";
}

/// Replaces each innermost reference once. True if something was replaced.
bool expand_once(Expansion& out, const std::vector<Braced>& references, const Resolve& resolve) {
  const std::string text = std::move(out.text);
  out.text.clear();
  std::size_t copied = 0;
  bool changed = false;
  const auto complain = [&](std::string words) {
    out.ok = false;
    if (!words.empty()) out.problems.push_back(std::move(words));
  };
  for (const Braced& braced : references) {
    if (out.problems.size() >= kMaxProblems) break;
    const std::string_view inner = braced.inner(text);
    if (inner.front() == '&') continue;
    if (split_reference(inner).empty()) {
      complain(not_a_reference(inner));
      continue;
    }
    Meaning meaning = resolve(std::string(inner));
    if (meaning.kind == Meaning::Kind::kNone) {
      complain(std::move(meaning.text));
    } else if (meaning.kind == Meaning::Kind::kLater) {
      if (is_part_of_another(text, braced)) {
        complain("'{{" + std::string(inner) + "}}' is only known on the host and cannot be part of another reference");
      }
    } else if (out.text.size() + meaning.text.size() > kMaxExpandedSize) {
      complain("the text grows beyond " + std::to_string(kMaxExpandedSize) +
               " bytes when its references are filled in");
      break;
    } else {
      out.text.append(text, copied, braced.begin - copied);
      out.text += meaning.text;
      copied = braced.end;
      changed = true;
    }
  }
  out.text.append(text, copied);
  return changed;
}

}  // namespace

Expansion expand(std::string text, const Resolve& resolve, std::size_t& budget) {
  Expansion out;
  out.text = std::move(text);
  if (out.text.find("{{") == std::string::npos) return out;
  for (int round = 0; round < kMaxRounds; ++round) {
    const std::vector<Braced> references = find_braced(out.text);
    const std::size_t cost = out.text.size() + 64 * references.size();
    if (cost > budget) {
      out.ok = false;
      out.problems.push_back("filling in the references of this file takes too much work");
      return out;
    }
    budget -= cost;
    const bool changed = expand_once(out, references, resolve);
    if (!changed || !out.ok) return out;
  }
  out.ok = false;
  out.problems.push_back("references are still left after " + std::to_string(kMaxRounds) + " rounds of filling in");
  return out;
}

std::string unescape(std::string_view text) {
  std::string out;
  std::size_t copied = 0;
  for (const Braced& braced : find_braced(text)) {
    if (braced.inner(text).front() != '&') continue;
    out += text.substr(copied, braced.begin + 2 - copied);
    copied = braced.begin + 3;
  }
  out += text.substr(copied);
  return out;
}

std::vector<std::string> split_reference(std::string_view reference) {
  std::vector<std::string> parts;
  std::size_t at = 0;
  const auto take = [&](auto allowed) {
    const std::size_t start = at;
    while (at < reference.size() && allowed(reference[at])) ++at;
    parts.emplace_back(reference.substr(start, at - start));
    return at > start;
  };
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (reference.empty() || is_digit(reference[0]) || !take(is_word)) return {};
  while (at < reference.size()) {
    const char c = reference[at++];
    if (c == '.') {
      if (!take(is_word) || is_digit(parts.back()[0])) return {};
    } else if (c == '[') {
      if (!take(is_in_brackets) || at >= reference.size() || reference[at++] != ']') return {};
    } else {
      return {};
    }
  }
  return parts;
}

}  // namespace dewar
