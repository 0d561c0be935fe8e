#include "agent/cli/status_view.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "agent/cli/limits_view.h"
#include "agent/cli/sparkline.h"
#include "agent/cli/usage_view.h"
#include "agent/cli/words.h"
#include "base/units.h"
#include "thermos/limits_text.h"

namespace dewar {
namespace {

constexpr std::size_t kGap = 2, kSparkWidth = 24, kShortSpark = 14, kShortestName = 8;

std::string number(const char* format, double value) {
  char text[40];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string bytes(double value) { return format_bytes(static_cast<std::uint64_t>(std::max(value, 0.0))); }
std::string bytes(Amount amount) { return amount ? bytes(static_cast<double>(*amount)) : ""; }
std::string whole(Amount amount) { return amount ? std::to_string(*amount) : ""; }

std::string cpu_time(Amount microseconds) {
  if (!microseconds) return "";
  const double seconds = seconds_of(microseconds);
  return seconds < 100 ? number("%.2fs", seconds) : age_text(seconds);
}

// ---- Tables: cells side by side, columns as wide as their widest cell

struct Table {
  struct Cell {
    std::string text;
    Tone tone = Tone::kPlain;
  };
  std::vector<bool> numeric;
  std::vector<std::vector<Cell>> rows;
  std::vector<std::pair<std::size_t, std::string>> notes = {};  ///< behind row n
  bool names_first = false;  ///< the last column is left out before a name in the first is cut

  /// The first column gives way when the line is too narrow; whole columns at the end are left out.
  std::vector<std::string> lines(std::size_t width, std::size_t indent, const Paint& paint) const {
    std::vector<std::size_t> widths(numeric.size());
    for (const auto& row : rows)
      for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], columns_of(row[i].text));
    if (names_first && widths[0] > left_for_names(widths, width, indent)) widths.back() = 0;
    widths[0] = std::min(widths[0], std::max(kShortestName, left_for_names(widths, width, indent)));
    std::vector<std::string> lines;
    for (std::size_t at = 0; at < rows.size(); ++at) {
      lines.push_back(line(rows[at], widths, width, indent, paint));
      const std::string lead = std::string(indent, ' ') + (paint.utf8 ? "└ " : "` ");
      for (const auto& [row, note] : notes)
        if (row == at) lines.push_back(paint.tone(Tone::kFaint, lead) + cut_to(note, width - indent - 2, paint));
    }
    return lines;
  }

 private:
  static std::size_t left_for_names(const std::vector<std::size_t>& widths, std::size_t width, std::size_t indent) {
    std::size_t others = indent;
    for (std::size_t i = 1; i < widths.size(); ++i) others += widths[i] > 0 ? kGap + widths[i] : 0;
    return width > others ? width - others : 0;
  }

  std::string line(const std::vector<Cell>& row, const std::vector<std::size_t>& widths, std::size_t width,
                   std::size_t indent, const Paint& paint) const {
    std::string text(indent, ' ');
    std::size_t used = indent, blanks = 0;
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (widths[i] == 0) continue;
      const std::size_t gap = i == 0 ? 0 : kGap;
      if (used + gap + widths[i] > width) break;
      std::string cell = (i == 0 ? cut_middle : cut_to)(row[i].text, widths[i], paint);
      if (i + 1 == row.size()) cell.erase(cell.find_last_not_of(' ') + 1);
      const std::size_t spare = widths[i] - columns_of(cell);
      blanks += gap + (numeric[i] ? spare : 0);
      used += gap + widths[i];
      if (cell.empty()) {
        blanks += numeric[i] ? 0 : spare;
        continue;
      }
      text += std::string(blanks, ' ') + paint.tone(row[i].tone, cell);
      blanks = numeric[i] ? 0 : spare;
    }
    return text;
  }
};

std::vector<Table::Cell> titles(const std::vector<std::string>& names) {
  std::vector<Table::Cell> row;
  for (const std::string& name : names) row.push_back({name, Tone::kFaint});
  return row;
}

// ---- A task's numbers

Amount cpu_of(const Usage& usage) { return usage.cpu_us(); }
Amount memory_of(const Usage& usage) { return usage.memory_bytes; }
Amount read_of(const Usage& usage) { return usage.io_read_bytes; }
Amount written_of(const Usage& usage) { return usage.io_write_bytes; }

std::string cores(std::optional<double> microseconds_per_second) {
  return microseconds_per_second ? number("%.2f", *microseconds_per_second / 1e6) : "";
}

std::string rate(std::optional<double> per_second) { return per_second ? bytes(*per_second) + "/s" : ""; }

std::string cpu_limit(const Limits& limits) {
  std::string text = limits.cpu > 0 ? number("%.4g", limits.cpu) : "";
  if (limits.cpu_quota > 0) text += (text.empty() ? "max " : ", max ") + number("%.4g", limits.cpu_quota);
  return text;
}

std::string of_limit(Amount used, std::uint64_t limit, const std::string& text) {
  if (limit == 0) return "";
  if (!used) return text;
  return text + number(" (%.0f %%)", 100.0 * static_cast<double>(*used) / static_cast<double>(limit));
}

/// cpu, ram and so on: now, in all or at most, the limit, and how it went.
Table numbers_of(const TaskStatus& status, const Paint& paint) {
  const Usage& used = status.usage;
  const Limits& limits = status.view.limits;
  const bool ended = status.ended > 0;
  const auto now = [&](std::string text) { return ended ? std::string() : std::move(text); };
  const UsageHistory& history = status.task_usage;
  Table table{.numeric = {false, true, true, false, false}, .rows = {}};
  const std::uint64_t covered =
      history.points.empty() ? 0 : (history.points.back().tick - history.points.front().tick + 1) * history.seconds;
  const auto bars = [&](const Series& series, double top) {
    return covered < 2 ? std::string() : sparkline(series, top, paint);
  };
  table.rows.push_back(titles({"", ended ? "" : "now", "in all", "limit",
                               covered < 2 ? "" : "last " + age_text(static_cast<double>(covered))}));
  const auto add = [&](const char* name, std::string at_present, std::string total, std::string limit,
                       std::string spark) {
    if (at_present.empty() && total.empty()) return;
    table.rows.push_back(
        {{name}, {std::move(at_present)}, {std::move(total)}, {std::move(limit)}, {std::move(spark), Tone::kBusy}});
  };
  add("cpu", now(cores(latest_rate(history, cpu_of))), cpu_time(used.cpu_us()), cpu_limit(limits),
      bars(rate_series(history, cpu_of, kSparkWidth), std::max(limits.cpu_quota, 0.05) * 1e6));
  // Bars go up to the limit, unless it is so far off that they would be flat.
  const bool near = used.memory_peak_bytes > static_cast<std::int64_t>(limits.memory / 4);
  add("ram", now(bytes(used.memory_bytes)), used.memory_peak_bytes ? "peak " + bytes(used.memory_peak_bytes) : "",
      of_limit(used.memory_peak_bytes, limits.memory, bytes(static_cast<double>(limits.memory))),
      bars(gauge_series(history, memory_of, kSparkWidth), near ? static_cast<double>(limits.memory) : 0));
  add("pids", now(whole(used.pids)), used.pids_peak ? "peak " + whole(used.pids_peak) : "",
      limits.pids > 0 ? std::to_string(limits.pids) : "", "");
  add("disk", now(bytes(used.disk_bytes)), ended ? bytes(used.disk_bytes) : "",
      of_limit(used.disk_bytes, status.view.disk.bytes, bytes(static_cast<double>(status.view.disk.bytes))), "");
  add("read", now(rate(latest_rate(history, read_of))), bytes(used.io_read_bytes), "", "");
  add("written", now(rate(latest_rate(history, written_of))), bytes(used.io_write_bytes), "", "");
  add("received", "", bytes(used.net_rx_bytes), "", "");
  add("sent", "", bytes(used.net_tx_bytes), "", "");
  return table;
}

/// "3.20s for its quota, 1.00s for processors"; empty if nothing was in its way.
std::string waits_of(const Usage& usage) {
  std::string text;
  const auto add = [&](Amount microseconds, const char* what) {
    if (microseconds.value_or(0) < 10000) return;
    text += (text.empty() ? "" : ", ") + number("%.2fs for ", seconds_of(microseconds)) + what;
  };
  add(usage.throttled_us, "its quota");
  add(usage.cpu_some_us, "processors");
  add(usage.memory_some_us, "memory");
  add(usage.io_some_us, "disks");
  return text;
}

// ---- Processes and runs

double lasted(const RunHistory& run, double now) {
  const std::optional<double> from = run.start_time ? run.start_time : run.fork_time;
  return from ? std::max(run.stop_time.value_or(now) - *from, 0.0) : 0;
}

std::vector<Table::Cell> row_of_run(const std::string& name, std::size_t number_of_run, const RunHistory& run,
                                    double now, const UsageHistory* history, const Paint& paint) {
  const bool begun = run.fork_time.has_value();
  std::vector<Table::Cell> row{{name},
                               {std::to_string(number_of_run)},
                               {sign_and_word(run.state, paint), tone_of(run.state)},
                               {run.return_code ? std::to_string(*run.return_code) : ""},
                               {begun ? age_text(lasted(run, now)) : ""},
                               {begun ? cpu_time(run.usage.cpu_us()) : ""},
                               {begun ? bytes(run.usage.memory_peak_bytes) : ""},
                               {}};
  if (history != nullptr && history->points.size() > 1)
    row.back() = {sparkline(rate_series(*history, cpu_of, kShortSpark), 0.05e6, paint), Tone::kBusy};
  return row;
}

/// "run 2, 26s ago: exit status 3"
std::string note_of(const std::vector<RunHistory>& runs, double now) {
  if (runs.back().state == ProcessState::kSuccess) return {};
  for (std::size_t i = runs.size(); i-- > 0;) {
    const std::string reason = why(runs[i]);
    if (reason.empty()) continue;
    const std::string ago = runs[i].stop_time ? ", " + age_text(std::max(now - *runs[i].stop_time, 0.0)) + " ago" : "";
    return "run " + std::to_string(i) + ago + ": " + printable(reason);
  }
  return {};
}

/// Of a process that has not begun.
std::string waiting_words(const TaskStatus& status, const ProcessView& process, const Paint& paint) {
  if (status.ended > 0) return paint.utf8 ? "– not run" : "- not run";
  if (process.final && status.history.state() == TaskState::kActive) return paint.utf8 ? "· final" : ". final";
  return sign_and_word(ProcessState::kWaiting, paint);
}

const UsageHistory* history_of(const TaskStatus& status, const std::string& process, std::size_t run) {
  const auto found = status.run_usage.find({process, static_cast<int>(run)});
  return found == status.run_usage.end() ? nullptr : &found->second;
}

/// The runs of one process, or the last one of each.
Table runs_of(const TaskStatus& status, const TaskRef& ref, double now, const Paint& paint) {
  Table table{.numeric = {false, true, false, true, true, true, true, false}, .rows = {}, .names_first = true};
  table.rows.push_back(titles({"process", "run", "state", "code", "lasted", "cpu", "ram", "cpu lately"}));
  for (const ProcessView& process : status.view.processes) {
    if (!ref.process.empty() && process.name != ref.process) continue;
    const std::string name = printable(process.name);
    const auto found = status.history.processes.find(process.name);
    if (found == status.history.processes.end() || found->second.empty()) {
      table.rows.push_back(
          {{name, Tone::kFaint}, {}, {waiting_words(status, process, paint), Tone::kFaint}, {}, {}, {}, {}, {}});
      continue;
    }
    const auto& runs = found->second;
    for (std::size_t i = ref.process.empty() ? runs.size() - 1 : 0; i < runs.size(); ++i)
      table.rows.push_back(row_of_run(name, i, runs[i], now, history_of(status, process.name, i), paint));
    if (std::string note = note_of(runs, now); !note.empty())
      table.notes.emplace_back(table.rows.size() - 1, std::move(note));
  }
  return table;
}

/// One run's receipt, a number a line.
void add_receipt(const TaskStatus& status, const TaskRef& ref, double now, std::vector<std::string>& lines,
                 std::size_t width, const Paint& paint) {
  const auto found = status.history.processes.find(ref.process);
  if (found == status.history.processes.end() || *ref.run >= found->second.size()) return;
  const RunHistory& run = found->second[*ref.run];
  const Usage& used = run.usage;
  constexpr std::size_t kNames = 15;  // columns, with what is left free on both sides
  const auto add = [&](std::string name, const std::string& text) {
    if (text.empty()) return;
    for (const std::string& piece : wrapped(text, std::max(width, 2 * kNames) - kNames)) {
      name.resize(kNames - 2, ' ');
      lines.push_back("  " + paint.tone(Tone::kFaint, name) + piece);
      name.clear();
    }
  };
  add("state", std::string(to_string(run.state)));
  if (run.start_time) add("started", format_rfc3339(*run.start_time));
  if (run.stop_time) add("ended", format_rfc3339(*run.stop_time));
  add("why", printable(why(run)));
  if (run.fork_time) add("lasted", age_text(lasted(run, now)));
  if (used.cpu_us())
    add("cpu", cpu_time(used.cpu_us()) + ": " + cpu_time(used.cpu_user_us) + " itself, " +
                   cpu_time(used.cpu_system_us) + " in the kernel");
  if (!is_terminal(run.state)) add("ram now", bytes(used.memory_bytes));
  add("ram peak", bytes(used.memory_peak_bytes));
  if (used.io_read_bytes || used.io_write_bytes)
    add("disk", "read " + bytes(used.io_read_bytes) + " in " + whole(used.io_reads) + " operations, wrote " +
                    bytes(used.io_write_bytes) + " in " + whole(used.io_writes));
  if (used.minor_faults)
    add("page faults", whole(used.minor_faults) + ", and " + whole(used.major_faults) + " that read from a disk");
  add("pids peak", whole(used.pids_peak));
  add("descriptors", used.descriptors_peak ? "at most " + whole(used.descriptors_peak) + " in one process" : "");
  add("waited", waits_of(used));
  for (const EventRecord& event : status.history.events)
    if (event.kind == kOutputEvent && event.process == ref.process && static_cast<std::size_t>(event.run) == *ref.run)
      add("output", printable(event.words));
  Limits limits;
  add("limits", read_limits_text(run.limits, limits) ? limits_words(limits) : printable(run.limits));
}

/// "healthy: 12 checks, the last 3.2s ago: answered 200 OK", "unhealthy: the last 3 of 12 checks failed, 3.2s ago: …"
std::string health_text(const HealthRecord& health, double now) {
  const HealthState& state = health.state;
  const std::string checks = std::to_string(state.checks) + (state.checks == 1 ? " check" : " checks");
  std::string text(state.health == TaskHealth::kStarting ? "not healthy yet" : to_string(state.health));
  const std::string failed = state.failed == 1 ? "the last of " : "the last " + std::to_string(state.failed) + " of ";
  text += ": " + (state.failed > 0 ? failed + checks + " failed" : checks);
  if (health.last.empty()) return text;
  const CheckOutcome& last = health.last.back();
  return text + (state.failed > 0 ? ", " : ", the last ") + age_text(std::max(now - last.time, 0.0)) +
         " ago: " + printable(last.words);
}

std::string headline(const TaskStatus& status, double now, std::size_t width, const Paint& paint) {
  const TaskState state = status.history.state();
  const std::string sign = sign_and_word(state, paint), name = printable(status.view.name);
  std::string text = paint.tone(tone_of(state), sign) + "  " + paint.tone(Tone::kBold, cut_to(name, 40, paint));
  std::string rest = "  for " + age_text(status.lived(now));
  if (status.ended > 0) rest += ", " + age_text(std::max(now - status.ended, 0.0)) + " ago";
  for (const auto& [port, value] : status.view.ports) rest += "  " + printable(port) + "=" + std::to_string(value);
  const std::size_t used = columns_of(sign) + 2 + std::min<std::size_t>(columns_of(name), 40);
  return text + (width > used ? cut_to(rest, width - used, paint) : "");
}

}  // namespace

std::string age_text(double seconds) {
  seconds = seconds >= 0 ? std::min(seconds, 1e12) : 0;  // damaged records hold any number
  if (seconds < 10) return number("%.1fs", seconds);
  const auto whole_seconds = static_cast<long long>(seconds);
  char text[40];
  if (whole_seconds < 60) {
    std::snprintf(text, sizeof text, "%llds", whole_seconds);
  } else if (whole_seconds < 3600) {
    std::snprintf(text, sizeof text, "%lldm%02llds", whole_seconds / 60, whole_seconds % 60);
  } else if (whole_seconds < 86400) {
    std::snprintf(text, sizeof text, "%lldh%02lldm", whole_seconds / 3600, whole_seconds / 60 % 60);
  } else {
    std::snprintf(text, sizeof text, "%lldd%02lldh", whole_seconds / 86400, whole_seconds / 3600 % 24);
  }
  return text;
}

std::vector<std::string> status_lines(const TaskStatus& status, const TaskRef& ref, double now, std::size_t width,
                                      const Paint& paint) {
  std::vector<std::string> lines{headline(status, now, width, paint)};
  const std::size_t room = std::max<std::size_t>(width, 4) - 2;
  const auto say = [&](const std::string& text) { lines.push_back("  " + cut_to(text, room, paint)); };
  const auto warn = [&](const std::string& text) {
    const std::string sign = paint.utf8 ? "▲ " : "! ";
    lines.push_back("  " + paint.tone(Tone::kWarn, sign) + cut_to(text, room - 2, paint));
  };
  const auto name = [&](const std::string& text) {
    lines.push_back("  " + paint.tone(Tone::kFaint, cut_middle(text, room, paint)));
  };
  const auto& statuses = status.history.statuses;
  if (!statuses.empty() && statuses.back().reason)
    for (const std::string& piece : wrapped(cut_to(printable(*statuses.back().reason), 3 * room, paint), room))
      say(piece);
  const std::string id = printable(ref.task_id), folder = printable(ref.place());
  if (columns_of(id + " in " + folder) <= room)
    name(id + " in " + folder);
  else
    name(id), name(folder);
  if (!status.history.terminal() && !status.runner_lives)
    warn("its runner is gone: the same dewar run once more takes the task over");
  lines.emplace_back();
  if (ref.run) {
    add_receipt(status, ref, now, lines, width, paint);
    return lines;
  }
  if (ref.process.empty()) {
    for (std::string& line : numbers_of(status, paint).lines(width, 2, paint)) lines.push_back(std::move(line));
    if (const std::string waits = waits_of(status.usage); !waits.empty()) say("waited " + waits);
    if (status.health) {
      const std::string health = health_text(*status.health, now);
      status.health->state.failed > 0 ? warn(health) : say(health);
    }
    lines.emplace_back();
  }
  for (std::string& line : runs_of(status, ref, now, paint).lines(width, 2, paint)) lines.push_back(std::move(line));
  if (ref.process.empty() && !status.advice.empty()) {
    lines.emplace_back();
    for (const Advice& advice : status.advice)
      advice.tight ? warn(advice.words) : say((paint.utf8 ? "▽ " : "- ") + advice.words);
  }
  return lines;
}

std::vector<std::string> task_list_lines(const std::vector<TaskStatus>& tasks, double now, std::size_t width,
                                         const Paint& paint) {
  Table table{.numeric = {false, false, true, true, true, true}, .rows = {}};
  table.rows.push_back(titles({"task", "state", "begun ago", "lasted", "cpu", "ram"}));
  for (const TaskStatus& task : tasks) {
    const TaskState state = task.history.state();
    const bool ended = task.ended > 0;
    const bool gone = !ended && !task.runner_lives;
    table.rows.push_back({{printable(task.view.task_id)},
                          gone ? Table::Cell{paint.utf8 ? "▲ no runner" : "! no runner", Tone::kWarn}
                               : Table::Cell{sign_and_word(state, paint), tone_of(state)},
                          {age_text(std::max(now - task.begun, 0.0))},
                          {age_text(task.lived(now))},
                          {ended ? cpu_time(task.usage.cpu_us()) : cores(latest_rate(task.task_usage, cpu_of))},
                          {bytes(ended ? task.usage.memory_peak_bytes : task.usage.memory_bytes)}});
  }
  return table.lines(width, 0, paint);
}

}  // namespace dewar
