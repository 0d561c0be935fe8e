#include "tests/logs/model.h"

#include <algorithm>
#include <ostream>
#include <tuple>

#include "thermos/logs/line_cutter.h"

namespace dewar {
namespace {

constexpr std::uint64_t kPiece = LineCutter::kPiece;

struct Way {
  std::uint64_t line = 0, given = 0;
  std::optional<std::int64_t> time;
  bool continued = false;
};

class Model {
 public:
  explicit Model(const FakePump& pump) : pump_(pump) {}

  void give(OutputStream stream, std::uint64_t end, std::optional<std::int64_t> time) {
    Way& way = of(stream);
    way.time = time;
    const std::string& text = pump_.text(stream);
    const std::uint64_t begin = pump_.begin(stream);
    if (way.given < begin && way.given < end) {
      told_.push_back({.line = false, .stream = stream, .time = time, .position = 0, .end = begin, .missing = begin});
      way.line = way.given = begin;
    }
    while (way.given < end) {
      const char c = text[way.given++];
      if (c == '\n') {
        cut(stream, way.given - 1, false);
      } else if (way.given % kPiece == 0 && way.given - way.line >= kPiece) {
        cut(stream, way.given, true);
      }
    }
  }

  void flush(OutputStream stream) {
    if (of(stream).line < of(stream).given) cut(stream, of(stream).given, true);
  }

  /// `more`: it goes on with the gap of the record before.
  void gap(const IndexRecord& record, bool more) {
    if (more) {
      told_.back().missing += record.value;
      return;
    }
    flush(record.stream);
    told_.push_back({.line = false,
                     .stream = record.stream,
                     .time = record.time,
                     .position = record.position,
                     .end = record.position,
                     .cause = missing_for(record.reason),
                     .missing = record.value});
  }

  /// What was told since the last call came with this record.
  void came_with(std::size_t event) {
    for (; numbered_ < told_.size(); ++numbered_) told_[numbered_].event = event;
  }

  Way& of(OutputStream stream) { return stream == OutputStream::kStdout ? out_ : err_; }
  const Way& other(OutputStream stream) const { return stream == OutputStream::kStdout ? err_ : out_; }
  std::vector<Told> take() { return std::move(told_); }

 private:
  void cut(OutputStream stream, std::uint64_t end, bool unfinished) {
    Way& way = of(stream);
    told_.push_back({.line = true,
                     .stream = stream,
                     .time = way.time,
                     .position = way.line,
                     .end = way.given,
                     .text = pump_.text(stream).substr(way.line, end - way.line),
                     .continued = way.continued,
                     .unfinished = unfinished,
                     .other = unfinished ? std::optional(other(stream).line) : std::nullopt});
    way.continued = unfinished;
    way.line = way.given;
  }

  const FakePump& pump_;
  Way out_, err_;
  std::vector<Told> told_;
  std::size_t numbered_ = 0;
};

}  // namespace

std::vector<Told> merged(std::vector<std::vector<Told>> all) {
  std::vector<Told> items;
  std::vector<std::int64_t> latest(all.size(), 0);
  std::vector<std::size_t> at(all.size(), 0);
  for (;;) {
    std::optional<std::size_t> first;
    std::int64_t earliest = 0;
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (at[i] == all[i].size()) continue;
      const std::int64_t time = std::max(latest[i], all[i][at[i]].time.value_or(0));  // none: with the one before
      if (!first || time < earliest) first = i, earliest = time;
    }
    if (!first) return items;
    latest[*first] = earliest;
    items.push_back(all[*first][at[*first]++]);
  }
}

std::vector<Told> model_of(const FakePump& pump, bool out, bool err, const std::string& process) {
  Model model(pump);
  const auto wanted = [&](OutputStream stream) { return stream == OutputStream::kStdout ? out : err; };
  IndexRecord before;
  for (std::size_t i = 0; i < pump.records().size(); ++i) {
    const IndexRecord& record = pump.records()[i];
    if (!wanted(record.stream)) continue;
    before.value = record.value;
    const bool more = before == record;
    before = record;
    if (record.position > model.of(record.stream).given) model.give(record.stream, record.position, std::nullopt);
    const std::uint64_t given = model.of(record.stream).given;
    if (record.kind == IndexKind::kData && record.position + record.value > given)
      model.give(record.stream, record.position + record.value, record.time);
    if (record.kind == IndexKind::kGap && record.position >= given) model.gap(record, more);
    if (record.kind == IndexKind::kEnd && record.position >= given) model.flush(record.stream);
    model.came_with(i);
  }
  for (const OutputStream stream : {OutputStream::kStdout, OutputStream::kStderr})
    if (wanted(stream) && pump.text(stream).size() > model.of(stream).given)
      model.give(stream, pump.text(stream).size(), std::nullopt);
  for (const OutputStream stream : {OutputStream::kStdout, OutputStream::kStderr})
    if (wanted(stream)) model.flush(stream);
  model.came_with(pump.records().size());
  std::vector<Told> items = model.take();
  for (Told& item : items) item.process = process;
  return items;
}

bool Told::operator==(const Told& same) const {
  const auto all = [](const Told& t) {
    return std::tie(t.process, t.line, t.stream, t.time, t.position, t.end, t.text, t.continued, t.unfinished, t.cause,
                    t.missing);
  };
  return all(*this) == all(same);
}

Told told(const LogItem& item) {
  return {.process = std::string(item.process),
          .line = item.kind == LogItem::Kind::kLine,
          .stream = item.stream,
          .time = item.time,
          .position = item.position,
          .end = item.end,
          .text = std::string(item.text),
          .continued = item.continued,
          .unfinished = item.unfinished,
          .cause = item.cause,
          .missing = item.missing,
          .other = item.other};
}

std::ostream& operator<<(std::ostream& out, const Told& told) {
  out << told.process << (told.line ? " line " : " gap ") << file_name(told.stream) << " [" << told.position << ","
      << told.end << ")";
  if (told.time) out << " at " << *told.time;
  if (!told.line) return out << " " << told.missing << " " << name_of(told.cause);
  if (told.continued) out << " continued";
  if (told.unfinished) out << " unfinished";
  return out << " '" << told.text.substr(0, 60) << "'";
}

}  // namespace dewar
