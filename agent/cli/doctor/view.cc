#include "agent/cli/doctor/view.h"

#include <algorithm>
#include <string_view>

#include "base/json_writer.h"

namespace dewar {
namespace {

struct Look {
  const char* sign;
  const char* ascii;
  const char* word;
  Tone tone;
};

Look look_of(Health health) {
  switch (health) {
    case Health::kOk:
      return {"✔", "+", "ok", Tone::kGood};
    case Health::kDegraded:
      return {"▲", "!", "degraded", Tone::kWarn};
    case Health::kMissing:
      return {"✘", "x", "missing", Tone::kBad};
  }
  return {"?", "?", "unknown", Tone::kPlain};
}

constexpr std::size_t kIndent = 2, kStateColumns = 12;

std::string padded(const std::string& text, std::size_t columns) {
  const std::size_t used = columns_of(text);
  return text + std::string(used < columns ? columns - used : 1, ' ');
}

/// `text` on lines of at most `columns`, broken at spaces; a longer word has a line of its own.
std::vector<std::string> wrapped(std::string_view text, std::size_t columns) {
  std::vector<std::string> lines(1);
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    const std::string word(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    std::string& last = lines.back();
    if (last.empty()) {
      last = word;
    } else if (columns_of(last) + 1 + columns_of(word) <= columns) {
      last += " " + word;
    } else {
      lines.push_back(word);
    }
  }
  return lines;
}

/// Words that begin at `column` of a line that is there already.
std::string hung(const std::string& words, std::size_t column, std::size_t width, Tone tone, const Paint& paint) {
  std::string text;
  for (const std::string& line : wrapped(words, width > column + 20 ? width - column : 20)) {
    if (!text.empty()) text += "\n" + std::string(column, ' ');
    text += paint.tone(tone, line);
  }
  return text + "\n";
}

std::string show_line(const Checked& line, std::size_t names, std::size_t width, const Paint& paint) {
  const Look look = look_of(line.finding.health);
  const std::string state = padded(std::string(paint.utf8 ? look.sign : look.ascii) + " " + look.word, kStateColumns);
  const std::size_t column = kIndent + kStateColumns + names + 2;
  std::string text = std::string(kIndent, ' ') + paint.tone(look.tone, state) + padded(line.name, names + 2) +
                     hung(printable(line.finding.found), column, width, Tone::kPlain, paint);
  if (line.finding.mend.empty()) return text;
  const std::string arrow = paint.utf8 ? "→ " : "-> ";
  return text + std::string(column, ' ') + paint.tone(Tone::kFaint, arrow) +
         hung(printable(line.finding.mend), column + columns_of(arrow), width, Tone::kFaint, paint);
}

std::size_t count(const std::vector<Checked>& lines, Health health) {
  return static_cast<std::size_t>(
      std::ranges::count_if(lines, [=](const Checked& line) { return line.finding.health == health; }));
}

std::string verdict_line(const std::vector<Checked>& lines, const Paint& paint) {
  std::string counts;
  for (const Health health : {Health::kOk, Health::kDegraded, Health::kMissing})
    counts += (counts.empty() ? "" : ", ") + std::to_string(count(lines, health)) + " " + look_of(health).word;
  const bool sick = verdict(lines) == Health::kMissing;
  const char* const words = sick ? "No task can run here until what is missing is mended" : "Tasks can run here";
  return paint.tone(sick ? Tone::kBad : Tone::kGood, words) + " (" + counts + ").\n";
}

}  // namespace

Health verdict(const std::vector<Checked>& lines) {
  Health worst = Health::kOk;
  for (const Checked& line : lines) worst = std::max(worst, line.finding.health);
  return worst;
}

std::string show_checks(const std::vector<Checked>& lines, const std::string& host, std::size_t width,
                        const Paint& paint) {
  std::size_t names = 0;
  for (const Checked& line : lines) names = std::max(names, columns_of(line.name));
  std::string text = paint.tone(Tone::kBold, printable(host)) + "\n";
  std::string_view section;
  for (const Checked& line : lines) {
    if (section != line.section) text += "\n" + paint.tone(Tone::kBold, line.section) + "\n";
    section = line.section;
    text += show_line(line, names, width, paint);
  }
  return text + "\n" + verdict_line(lines, paint);
}

std::string checks_json(const std::vector<Checked>& lines, const std::string& host) {
  JsonWriter json(JsonWriter::Style::kPretty);
  json.begin_object().field("host", host).field("verdict", look_of(verdict(lines)).word);
  json.key("checks").begin_array();
  for (const Checked& line : lines) {
    json.begin_object().field("section", line.section).field("name", line.name);
    json.field("health", look_of(line.finding.health).word).field("found", line.finding.found);
    line.finding.mend.empty() ? json.key("mend").null() : json.field("mend", line.finding.mend);
    json.end_object();
  }
  return json.end_array().end_object().take() + "\n";
}

}  // namespace dewar
