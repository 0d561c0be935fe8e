#include "agent/cli/live_table.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

#include "agent/cli/events.h"
#include "agent/cli/words.h"
#include "base/units.h"

namespace dewar {
namespace {

constexpr std::size_t kEventsShown = 3;  // the youngest
constexpr std::size_t kColumns = 8, kGap = 2;
constexpr std::array<const char*, kColumns> kTitles{"name",    "run",      "status", "return code",
                                                    "started", "finished", "cpu",    "ram"};
constexpr std::array<bool, kColumns> kNumeric{false, true, false, true, true, true, true, true};
/// Wide enough for what a column usually holds, so that nothing moves while the task goes on.
constexpr std::array<std::size_t, kColumns> kUsual{4, 3, 9, 11, 8, 8, 5, 8};
constexpr std::size_t kShortestName = 8;

struct Row {
  std::array<std::string, kColumns> cells;
  Tone tone = Tone::kPlain;
  std::string note;
};

std::string number(double value, int digits) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

/// Cores that a living run uses now; CPU seconds that an ended one has used.
std::string cpu_cell(const RunHistory& run) {
  if (!is_terminal(run.state)) return run.start_time ? number(run.cpu, 2) : "";
  const double seconds = static_cast<double>(run.usage.cpu_us().value_or(0)) / 1e6;
  return run.fork_time ? number(seconds, seconds < 100 ? 2 : 0) + "s" : "";
}

/// Memory that a living run holds now; the most that an ended one has held.
std::string ram_cell(const RunHistory& run) {
  const Amount bytes = is_terminal(run.state) ? run.usage.memory_peak_bytes : run.usage.memory_bytes;
  return bytes > 0 ? format_bytes(static_cast<std::uint64_t>(*bytes)) : "";
}

/// Why the last run that went wrong did, while that still matters.
std::string note_of(const std::vector<RunHistory>& runs) {
  if (runs.back().state == ProcessState::kSuccess) return {};
  for (std::size_t i = runs.size(); i-- > 0;) {
    const std::string reason = why(runs[i]);
    if (!reason.empty()) return "run " + std::to_string(i) + ": " + printable(reason);
  }
  return {};
}

/// "[######------] " for "svc.tgz: 50 % of 3.0 MB"; nothing if it is not known how much there will be.
std::string bar_of(const std::string& progress, const Paint& paint) {
  constexpr int kWidth = 20;
  const std::size_t sign = progress.find(" % of ");
  if (sign == std::string::npos) return {};
  const std::size_t blank = progress.rfind(' ', sign - 1);
  const int percent = std::clamp(std::atoi(progress.c_str() + (blank == std::string::npos ? 0 : blank)), 0, 100);
  std::string bar = "[";
  for (int i = 0; i < kWidth; ++i) {
    const bool full = i * 100 < percent * kWidth;
    bar += full ? (paint.utf8 ? "█" : "#") : (paint.utf8 ? "░" : "-");
  }
  return bar + "] ";
}

Row row_of(const ProcessView& process, const TaskHistory& history, const Paint& paint) {
  Row row;
  row.cells[0] = printable(process.name);
  const auto found = history.processes.find(process.name);
  if (found == history.processes.end() || found->second.empty()) {
    row.cells[2] = std::string(paint.utf8 ? "–" : "-") + (process.final ? " final" : "");
    row.tone = Tone::kFaint;
    return row;
  }
  const RunHistory& run = found->second.back();
  row.cells[1] = std::to_string(found->second.size() - 1);
  row.cells[2] = sign_and_word(run.state, paint);
  if (run.return_code) row.cells[3] = std::to_string(*run.return_code);
  if (run.start_time) row.cells[4] = clock_time(*run.start_time);
  if (run.stop_time) row.cells[5] = clock_time(*run.stop_time);
  row.cells[6] = cpu_cell(run);
  row.cells[7] = ram_cell(run);
  row.tone = tone_of(run.state);
  row.note = run.progress.empty() ? note_of(found->second) : bar_of(run.progress, paint) + printable(run.progress);
  return row;
}

std::string padded(const std::string& text, std::size_t columns, bool right) {
  const std::size_t used = columns_of(text);
  const std::string blanks(columns > used ? columns - used : 0, ' ');
  return right ? blanks + text : text + blanks;
}

/// The columns' widths: as wide as the widest cell, and the name takes what the line leaves.
std::array<std::size_t, kColumns> widths_of(const std::vector<Row>& rows, std::size_t width) {
  std::array<std::size_t, kColumns> widths = kUsual;
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < kColumns; ++i) widths[i] = std::max(widths[i], columns_of(row.cells[i]));
  }
  std::size_t others = kGap * (kColumns - 1);
  for (std::size_t i = 1; i < kColumns; ++i) others += widths[i];
  const std::size_t left = width > others + kShortestName ? width - others : kShortestName;
  widths[0] = std::min(widths[0], left);
  return widths;
}

/// Cells side by side; whole columns that do not fit on the line are left out.
Line line_of(const Row& row, const std::array<std::size_t, kColumns>& widths, std::size_t width, const Paint& paint,
             bool title) {
  std::size_t last = kColumns - 1;
  while (last > 0 && row.cells[last].empty()) --last;
  Line line;
  for (std::size_t i = 0; i <= last; ++i) {
    const std::size_t gap = i == 0 ? 0 : kGap;
    if (line.columns + gap + widths[i] > width) break;
    const std::string text = cut_to(row.cells[i], widths[i], paint);
    const std::string cell = i == last && !kNumeric[i] ? text : padded(text, widths[i], kNumeric[i]);
    const Tone tone = title                                ? Tone::kFaint
                      : i == 2                             ? row.tone
                      : i == 0 && row.tone == Tone::kFaint ? row.tone
                                                           : Tone::kPlain;
    line.text += std::string(gap, ' ') + paint.tone(tone, cell);
    line.columns += gap + columns_of(cell);
  }
  return line;
}

Line plain_line(const std::string& text, Tone tone, std::size_t width, const Paint& paint) {
  const std::string cut = cut_to(text, width, paint);
  return {paint.tone(tone, cut), columns_of(cut)};
}

/// Since the first status: "0:12", "1:02:03".
std::string elapsed(const TaskHistory& history, double now) {
  if (history.statuses.empty()) return {};
  const double start = static_cast<double>(history.statuses.front().timestamp_ms) / 1e3;
  const double end = history.terminal() ? static_cast<double>(history.statuses.back().timestamp_ms) / 1e3 : now;
  const auto seconds = static_cast<long long>(std::max(0.0, end - start));
  char text[40];
  if (seconds < 3600) {
    std::snprintf(text, sizeof text, "%lld:%02lld", seconds / 60, seconds % 60);
  } else {
    std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", seconds / 3600, seconds / 60 % 60, seconds % 60);
  }
  return text;
}

/// "▶ ACTIVE  related-questions  0:12  http=31000  cpu 0.25  ram 12.0 MB"; what does not fit whole at the end is left
/// out.
Line header_line(const RunView& view, const TaskHistory& history, double now, std::size_t width, const Paint& paint) {
  std::vector<std::string> pieces{printable(view.name), elapsed(history, now)};
  if (history.header && history.header->address) pieces.push_back(printable(*history.header->address));
  for (const auto& [name, port] : view.ports) pieces.push_back(printable(name) + "=" + std::to_string(port));
  if (history.usage.memory_bytes > 0 && !history.terminal()) {
    pieces.push_back("cpu " + number(history.cpu, 2));
    pieces.push_back("ram " + format_bytes(static_cast<std::uint64_t>(*history.usage.memory_bytes)));
    if (const Amount disk = history.usage.disk_bytes)
      pieces.push_back("disk " + format_bytes(static_cast<std::uint64_t>(*disk)));
    if (history.usage.throttled_us > 0)
      pieces.push_back("held back " + number(static_cast<double>(*history.usage.throttled_us) / 1e6, 1) + " s");
  }
  const std::string state = cut_to(sign_and_word(history.state(), paint), width, paint);
  Line line{paint.tone(tone_of(history.state()), state), columns_of(state)};
  for (const std::string& piece : pieces) {
    if (piece.empty()) continue;
    if (line.columns + kGap + columns_of(piece) > width) break;
    line.text += std::string(kGap, ' ') + (&piece == &pieces.front() ? paint.tone(Tone::kBold, piece) : piece);
    line.columns += kGap + columns_of(piece);
  }
  return line;
}

}  // namespace

std::vector<Line> table_lines(const RunView& view, const TaskHistory& history, double now, std::size_t width,
                              const Paint& paint) {
  std::vector<Row> rows;
  for (const ProcessView& process : view.processes) rows.push_back(row_of(process, history, paint));
  const auto widths = widths_of(rows, width);

  Row titles;
  std::copy(kTitles.begin(), kTitles.end(), titles.cells.begin());
  std::vector<Line> lines{header_line(view, history, now, width, paint)};
  if (!history.terminal() && !history.statuses.empty() && history.statuses.back().reason) {  // the end has a summary
    lines.push_back(plain_line("  " + printable(*history.statuses.back().reason), Tone::kFaint, width, paint));
  }
  lines.push_back(line_of(titles, widths, width, paint, true));
  for (const Row& row : rows) {
    lines.push_back(line_of(row, widths, width, paint, false));
    if (row.note.empty()) continue;
    lines.push_back(plain_line((paint.utf8 ? "  └ " : "  ` ") + row.note, Tone::kWarn, width, paint));
  }
  std::vector<std::string> told;
  for (auto event = history.events.rbegin(); event != history.events.rend() && told.size() < kEventsShown; ++event)
    if (std::string line = event_line(*event, history, {.color = false, .utf8 = paint.utf8}); !line.empty())
      told.push_back("  " + line);
  for (auto line = told.rbegin(); line != told.rend(); ++line)
    lines.push_back(plain_line(*line, Tone::kWarn, width, paint));
  return lines;
}

std::string LiveArea::frame(std::vector<Line> lines, std::size_t width, std::size_t height, const Paint& paint) {
  const std::size_t room = height > 2 ? height - 1 : 1;
  if (lines.size() > room) {
    const std::size_t hidden = lines.size() - room + 1;
    lines.resize(room - 1);
    lines.push_back(plain_line(std::to_string(hidden) + " more lines do not fit here", Tone::kFaint, width, paint));
  }
  // A terminal that has become narrower has broken the old lines into several.
  std::size_t up = 0;
  for (const std::size_t columns : shown_) up += columns == 0 || width == 0 ? 1 : (columns + width - 1) / width;
  std::string out = "\r";
  if (up > 0) out += "\x1b[" + std::to_string(up) + "A";
  shown_.clear();
  for (const Line& line : lines) {
    out += line.text + "\x1b[K\r\n";
    shown_.push_back(line.columns);
  }
  return out + "\x1b[J";
}

}  // namespace dewar
