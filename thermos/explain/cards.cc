#include "thermos/explain/cards.h"

#include <algorithm>
#include <cstdlib>

#include "base/units.h"
#include "thermos/explain/health_words.h"
#include "thermos/explain/reasons.h"
#include "thermos/explain/words.h"

namespace dewar {
namespace {

constexpr std::size_t kLinesTold = 8, kLongestLine = 500;

using Row = std::pair<std::string, std::string>;

std::string value_of(const Details& details, const std::string& name) {
  const auto found = details.find(name);
  return found == details.end() ? "" : found->second;
}

std::uint64_t number_of(const Details& details, const std::string& name) {
  return std::strtoull(value_of(details, name).c_str(), nullptr, 10);
}

void add(Card& card, const std::string& name, const std::string& value) {
  if (!value.empty()) card.rows.emplace_back(name, value);
}

void add_bytes(Card& card, const std::string& name, const Details& details, const std::string& detail) {
  if (details.contains(detail)) add(card, name, format_bytes(number_of(details, detail)));
}

/// "62914560 12 python3" -> "60.0 MB  python3 (pid 12)"
std::string process_row(const std::string& detail) {
  const std::size_t first = detail.find(' '), second = detail.find(' ', first + 1);
  if (first == std::string::npos || second == std::string::npos) return detail;
  return format_bytes(std::strtoull(detail.c_str(), nullptr, 10)) + "  " + detail.substr(second + 1) + " (pid " +
         detail.substr(first + 1, second - first - 1) + ")";
}

std::string folder_row(const std::string& detail) {
  const std::size_t blank = detail.find(' ');
  if (blank == std::string::npos) return detail;
  return format_bytes(std::strtoull(detail.c_str(), nullptr, 10)) + "  " + detail.substr(blank + 1);
}

std::string level_words(const std::string& level) {
  if (level == "run") return "of the run";
  if (level == "task") return "of the task";
  if (level == "above") return "of a group above the task's, which holds other tasks too";
  if (level == "host") return "of the host: there was no more memory";
  return "not told by the kernel's log";
}

template <class Format>
void add_list(Card& card, const std::string& title, const Details& details, const std::string& stem, Format format) {
  for (int i = 1; i <= 9; ++i) {
    const std::string detail = value_of(details, stem + std::to_string(i));
    if (!detail.empty()) add(card, i == 1 ? title : "", format(detail));
  }
}

Card memory_card(const Evidence& evidence, const Details& details) {
  Card card{"Memory", {}, {}, evidence.memory};
  add(card, "limit met", level_words(value_of(details, "level")));
  add_bytes(card, "limit", details, "limit_bytes");
  add_bytes(card, "most used", details, "peak_bytes");
  std::string victim = value_of(details, "victim_name");
  if (!victim.empty()) {
    victim += " (pid " + value_of(details, "victim_pid") + ")";
    if (details.contains("victim_bytes")) victim += " with " + format_bytes(number_of(details, "victim_bytes"));
  }
  if (details.contains("victim_process"))
    victim += (victim.empty() ? "" : ", ") + ("of process " + value_of(details, "victim_process"));
  add(card, "killed", victim);
  add_list(card, "biggest", details, "biggest.", process_row);
  return card;
}

Card disk_card(const Details& details) {
  Card card{"Disk", {}, {}, {}};
  add_bytes(card, "limit", details, "limit_bytes");
  if (details.contains("limit_inodes")) add(card, "limit", value_of(details, "limit_inodes") + " files and folders");
  add_bytes(card, "used", details, "used_bytes");
  if (details.contains("used_inodes")) add(card, "", value_of(details, "used_inodes") + " files and folders");
  add_list(card, "biggest", details, "folder.", folder_row);
  return card;
}

/// The forks that were refused: as an event has told, or as the last measurement has it.
Card pids_card(const Evidence& evidence) {
  Card card{kPidsTitle, {}, {}, {}};
  std::uint64_t refused = static_cast<std::uint64_t>(evidence.history.usage.forks_refused.value_or(0));
  std::string limit = evidence.limits.pids > 0 ? std::to_string(evidence.limits.pids) : "";
  for (const EventRecord& event : evidence.history.events) {
    if (value_of(event.details, "cause") != to_string(Cause::kPids)) continue;
    limit = value_of(event.details, "limit");
    refused = std::max(refused, number_of(event.details, "refused"));
  }
  if (refused == 0) return card;
  add(card, "limit", limit);
  add(card, "forks refused", std::to_string(refused));
  return card;
}

std::vector<std::string> last_lines(std::string_view tail) {
  std::vector<std::string> lines;
  while (!tail.empty() && lines.size() < kLinesTold) {
    if (tail.ends_with('\n')) tail.remove_suffix(1);
    const std::size_t end = tail.rfind('\n');
    const std::size_t start = end == std::string_view::npos ? 0 : end + 1;
    lines.emplace_back(one_line(tail.substr(start), kLongestLine));
    tail = tail.substr(0, start);
  }
  std::ranges::reverse(lines);
  return lines;
}

void add_details(Card& card, const Death& death) {
  const Details& d = death.details;
  add(card, "command", value_of(d, "command"));
  add(card, "PATH", value_of(d, "path"));
  add(card, "fault", value_of(d, "fault"));
  add(card, "address", value_of(d, "fault_address"));
  add(card, "in", value_of(d, "fault_object"));
  add(card, "system call", value_of(d, "system_call"));
  if (!d.contains("system_call")) add(card, "system call", value_of(d, "system_call_number"));
  if (death.cause == Cause::kFileSize) add_bytes(card, "rlimit fsize", d, "limit_bytes");
  if (death.cause == Cause::kCpuTime && d.contains("limit_seconds"))
    add(card, "rlimit cpu", value_of(d, "limit_seconds") + " s");
  if (death.cause == Cause::kTime) add(card, "time limit", value_of(d, "limit"));
  if (death.cause == Cause::kFetch) add(card, "last answer", death.words);  // the sentence may be cut
  add(card, "core", value_of(d, "core"));
}

std::string sender_words(Cause cause) {
  switch (cause) {
    case Cause::kStopped:
    case Cause::kTime:
      return "Dewar";
    case Cause::kMemory:
    case Cause::kSystemCall:
    case Cause::kFileSize:
    case Cause::kCpuTime:
    case Cause::kBrokenPipe:
      return "the kernel";
    case Cause::kSignal:
      return "not told by the kernel; not Dewar";
    default:
      return {};
  }
}

Card end_card(const RunHistory& run, const std::string& name, const Death& death) {
  Card card{name, {}, {}, {}};
  if (run.return_code && *run.return_code >= 0) add(card, "exit status", std::to_string(*run.return_code));
  if (run.return_code && *run.return_code < 0) {
    const bool ours = *run.return_code == -1;  // Thermos's number for a kill of the runner's own
    add(card, "signal", ours ? "SIGKILL" : signal_name(-*run.return_code));
    add(card, "sent by", sender_words(death.cause));
  }
  if (run.start_time) add(card, "started", format_rfc3339(*run.start_time));
  if (run.stop_time) add(card, "ended", format_rfc3339(*run.stop_time));
  if (run.start_time && run.stop_time) add(card, "lasted", format_seconds(*run.stop_time - *run.start_time));
  if (run.fork_time && is_terminal(run.state)) {
    add(card, "CPU", format_seconds(static_cast<double>(run.usage.cpu_us().value_or(0)) / 1e6));
    if (run.usage.memory_peak_bytes > 0)
      add(card, "memory", "at most " + format_bytes(static_cast<std::uint64_t>(*run.usage.memory_peak_bytes)));
  }
  if (run.usage.forks_refused > 0) add(card, "forks refused", std::to_string(*run.usage.forks_refused));
  add_details(card, death);
  return card;
}

}  // namespace

std::vector<Card> run_cards(const Evidence& evidence, const std::string& process, int run, const Death& death) {
  std::vector<Card> cards;
  const auto& runs = runs_in(evidence.history, process);
  if (run < 0 || static_cast<std::size_t>(run) >= runs.size()) return cards;
  const std::string name = process + "#" + std::to_string(run);
  cards.push_back(end_card(runs[static_cast<std::size_t>(run)], name, death));
  for (const EventRecord& event : evidence.history.events)  // what is missing may have told why
    if (event.kind == kOutputEvent && event.process == process && event.run == run)
      add(cards.back(), "output", event.words);
  const auto known = evidence.runs.find({process, run});
  if (known == evidence.runs.end()) return cards;
  if (death.cause == Cause::kMemory && !known->second.memory.empty())
    cards.push_back({"Memory of " + name, {}, {}, known->second.memory});
  if (auto lines = last_lines(known->second.stderr_tail); !lines.empty())
    cards.push_back({"Last lines of stderr of " + name, {}, std::move(lines), {}});
  return cards;
}

std::vector<Card> task_cards(const Evidence& evidence, const Death& death) {
  std::vector<Card> cards;
  if (death.cause == Cause::kMemory) cards.push_back(memory_card(evidence, death.details));
  if (death.cause == Cause::kDisk) cards.push_back(disk_card(death.details));
  if (death.cause == Cause::kHealth) cards.push_back(health_card(death.details));
  if (Card pids = pids_card(evidence); !pids.rows.empty()) cards.push_back(std::move(pids));
  if (death.cause != Cause::kDisk) {  // a quota makes writing fail: the task need not have ended for it
    const EventRecord* full = nullptr;
    for (const EventRecord& event : evidence.history.events)
      if (event.kind == "disk" && value_of(event.details, "cause") == to_string(Cause::kDisk)) full = &event;
    if (full != nullptr) cards.push_back(disk_card(full->details));
  }
  return cards;
}

std::vector<std::string> advice_for(Cause cause, const Details& details) {
  if (details.contains("shell") && (cause == Cause::kCrash || cause == Cause::kSystemCall || cause == Cause::kSignal))
    return {"a shell told of this end: with exec in front of the command its address or system call would be known"};
  switch (cause) {
    case Cause::kCommandNotFound:
      return {"install the command, name it with its path, or see which PATH the task has"};
    case Cause::kNotExecutable:
      return {"make the file executable (chmod +x), and see that its interpreter is there"};
    case Cause::kCrash:
      return {"for a core file set sandbox.rlimits.core, and see /proc/sys/kernel/core_pattern"};
    case Cause::kSystemCall:
      return {"allow the call in the profile that sandbox.seccomp names, or do without it"};
    case Cause::kFileSize:
      return {"raise sandbox.rlimits.fsize"};
    case Cause::kCpuTime:
      return {"raise sandbox.rlimits.cpu"};
    case Cause::kMemory:
      if (const std::string level = value_of(details, "level"); level == "host" || level == "above")
        return {"the task was within its own limit: look for who else used the memory"};
      return {"raise resources.ram, or have the biggest use less"};
    case Cause::kDisk:
      return {"raise resources.disk, or have the task remove what it does not need"};
    case Cause::kPids:
      return {"raise sandbox.pids"};
    case Cause::kTime:
      return {"raise time_limit, or find out what took so long"};
    case Cause::kHealth:
      return {
          "see what the task itself wrote meanwhile (dewar logs), or give it more time: initial_interval_secs, "
          "timeout_secs and max_consecutive_failures of health_check_config"};
    case Cause::kFetch:
      return {"try it by hand: dewar fetch URI"};
    case Cause::kRunnerLost:
      return {"dewar run with the same file, --work-dir and --task-id takes it over again"};
    case Cause::kHostLost:
      return {"nothing of it is left; dewar run with the same file, --work-dir and --task-id goes on with its plan"};
    default:
      return {};
  }
}

}  // namespace dewar
