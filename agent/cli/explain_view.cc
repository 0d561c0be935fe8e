#include "agent/cli/explain_view.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/json_writer.h"
#include "base/units.h"

namespace dewar {
namespace {

constexpr std::size_t kIndent = 2, kGap = 2, kNarrowest = 40, kSparkColumns = 60;
constexpr std::array kSigns{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
constexpr std::array kAsciiSigns{"_", ".", ":", "-", "=", "+", "*", "#"};

class Page {
 public:
  Page(std::size_t width, const Paint& paint) : width_(std::max(width, kNarrowest)), paint_(paint) {}

  void title(const std::string& text) {
    lines_.emplace_back();
    lines_.push_back(paint_.tone(Tone::kBold, printable(text)));
  }
  /// `sign` stands in front of the first line of `text`, blanks before the others.
  void item(const std::string& sign, const std::string& text) {
    const std::size_t start = kIndent + columns_of(sign);
    std::string lead = std::string(kIndent, ' ') + sign;
    for (const std::string& piece : wrapped(printable(text), width_ - std::min(start, width_ / 2))) {
      lines_.push_back(lead + piece);
      lead = std::string(start, ' ');
    }
  }
  void cut(const std::string& text) {
    lines_.push_back(std::string(kIndent, ' ') + cut_to(printable(text), width_ - kIndent, paint_));
  }
  void raw(std::string line) { lines_.push_back(std::move(line)); }
  std::vector<std::string> take() { return std::move(lines_); }
  const Paint& paint() const { return paint_; }
  std::size_t width() const { return width_; }

 private:
  std::size_t width_;
  Paint paint_;
  std::vector<std::string> lines_;
};

void add_memory(Page& page, const std::vector<MemoryPoint>& points, std::size_t lead) {
  if (points.size() < 2) return;
  const auto [least, most] = std::ranges::minmax(points, {}, &MemoryPoint::bytes);
  const auto seconds = std::llround(points.back().time - points.front().time);
  const std::string name = "last " + format_duration(std::chrono::seconds(seconds));
  const std::string pad(lead > columns_of(name) ? lead - columns_of(name) : kGap, ' ');
  const std::size_t room = page.width() - std::min(page.width() / 2, kIndent + lead);
  page.raw(std::string(kIndent, ' ') + name + pad + sparkline(points, std::min(kSparkColumns, room), page.paint()));
  page.raw(std::string(kIndent + lead, ' ') + format_bytes(least.bytes) + " to " + format_bytes(most.bytes));
}

/// "60.0 MB  python3": the size is a column of its own beneath one name.
std::string with_size(const std::string& value, std::size_t width) {
  const std::size_t size = std::min(value.find("  "), value.size());
  return std::string(size < value.size() && size < width ? width - size : 0, ' ') + value;
}

/// How wide the column of sizes is in the rows from `at` on that share a name.
std::size_t size_width(const std::vector<std::pair<std::string, std::string>>& rows, std::size_t at) {
  std::size_t width = 0;
  do {
    const std::size_t size = rows[at].second.find("  ");
    if (size != std::string::npos) width = std::max(width, size);
  } while (++at < rows.size() && rows[at].first.empty());
  return width;
}

void add_card(Page& page, const Card& card) {
  page.title(card.title);
  std::size_t lead = 0;
  for (const auto& [name, value] : card.rows) lead = std::max(lead, columns_of(printable(name)));
  lead = std::max(lead, card.memory.size() < 2 ? lead : std::size_t{9}) + kGap;
  std::size_t width = 0;
  for (std::size_t i = 0; i < card.rows.size(); ++i) {
    const std::string shown = printable(card.rows[i].first);
    if (i == 0 || !shown.empty()) width = size_width(card.rows, i);
    page.item(shown + std::string(lead - columns_of(shown), ' '), with_size(card.rows[i].second, width));
  }
  add_memory(page, card.memory, lead);
  for (const std::string& line : card.lines) page.cut(line);
}

void text_or_null(JsonWriter& json, std::string_view name, const std::string& text) {
  text.empty() ? json.key(name).null() : json.field(name, text);
}

void put_list(JsonWriter& json, std::string_view name, const std::vector<std::string>& list) {
  json.key(name).begin_array();
  for (const std::string& line : list) json.value(line);
  json.end_array();
}

void put_card(JsonWriter& json, const Card& card) {
  json.begin_object().field("title", card.title).key("rows").begin_array();
  for (const auto& [name, value] : card.rows)
    json.begin_object().field("name", name).field("value", value).end_object();
  json.end_array();
  put_list(json, "lines", card.lines);
  json.key("memory").begin_array();
  for (const MemoryPoint& point : card.memory)
    json.begin_object().field("time", format_rfc3339(point.time)).field("bytes", point.bytes).end_object();
  json.end_array().end_object();
}

}  // namespace

std::string sparkline(const std::vector<MemoryPoint>& points, std::size_t columns, const Paint& paint) {
  if (points.empty() || columns == 0) return {};
  const std::uint64_t most = std::max<std::uint64_t>(std::ranges::max(points, {}, &MemoryPoint::bytes).bytes, 1);
  const std::size_t count = std::min(points.size(), columns);
  std::string line;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t first = i * points.size() / count, end = (i + 1) * points.size() / count;
    std::uint64_t height = 0;
    for (std::size_t j = first; j < end; ++j) height = std::max(height, points[j].bytes);
    const auto level = static_cast<std::size_t>(static_cast<double>(height) / static_cast<double>(most) * 7.999);
    line += paint.utf8 ? kSigns[level] : kAsciiSigns[level];
  }
  return line;
}

std::vector<std::string> explanation_lines(const Explanation& told, std::size_t width, const Paint& paint) {
  Page page(width, paint);
  page.raw(paint.tone(Tone::kBold, printable(told.sentence)));
  if (!told.chain.empty()) {
    page.title("Because");
    for (const std::string& link : told.chain) page.item("", link);
  }
  for (const Card& card : told.cards) add_card(page, card);
  if (!told.advice.empty()) {
    page.title("What to do");
    for (const std::string& line : told.advice) page.item(paint.utf8 ? "→ " : "> ", line);
  }
  return page.take();
}

std::string explanation_json(const Explanation& told) {
  JsonWriter json(JsonWriter::Style::kPretty);
  json.begin_object().field("task_id", told.task_id);
  text_or_null(json, "process", told.process);
  told.run ? json.field("run", *told.run) : json.key("run").null();
  text_or_null(json, "state", told.state);
  json.field("cause", to_string(told.cause)).field("sentence", told.sentence);
  put_list(json, "because", told.chain);
  json.key("cards").begin_array();
  for (const Card& card : told.cards) put_card(json, card);
  json.end_array();
  put_list(json, "advice", told.advice);
  return json.end_object().take();
}

}  // namespace dewar
