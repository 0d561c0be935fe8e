#include "isolation/cgroup/oom_report.h"

#include <algorithm>
#include <charconv>

#include "isolation/cgroup/stat.h"

namespace dewar {
namespace {

constexpr std::size_t kMostListed = 5, kMostInTable = 65536;

std::string_view cut_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

std::string_view cut_word(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  const std::size_t end = std::min(text.find(' '), text.size());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(end);
  return word;
}

/// The table of tasks: "[  pid  ]   uid  tgid total_vm      rss … name", then a row for each process. Which columns
/// there are depends on the kernel; the name is always the last.
class TaskTable {
 public:
  void begin() { *this = {}; }

  /// Takes a line, if it is one of the table.
  void take(std::string_view line, std::uint64_t page_size) {
    if (!line.starts_with('[')) return;
    const std::size_t end = line.find(']');
    if (end == std::string_view::npos) return;
    std::string_view first = line.substr(1, end - 1), rest = line.substr(end + 1);
    const std::string_view word = cut_word(first);
    if (word == "pid") return read_header(rest);
    OomProcess process;
    const auto read = std::from_chars(word.data(), word.data() + word.size(), process.pid);
    if (columns_ == 0 || read.ec != std::errc() || process.pid <= 0 || rows_.size() >= kMostInTable) return;
    for (int column = 1; column < columns_; ++column) {
      const std::string_view value = cut_word(rest);
      if (column == rss_)
        process.bytes = static_cast<std::uint64_t>(std::max<std::int64_t>(parse_number(value), 0)) * page_size;
    }
    process.name = rest.substr(std::min<std::size_t>(rest.empty() ? 0 : 1, rest.size()));
    rows_.push_back(std::move(process));
  }

  const std::vector<OomProcess>& rows() const { return rows_; }

 private:
  void read_header(std::string_view names) {
    for (columns_ = 0; !names.empty();) {
      const std::string_view name = cut_word(names);
      if (name.empty()) break;
      ++columns_;
      if (name == "rss") rss_ = columns_;
    }
  }

  int columns_ = 0, rss_ = 0;
  std::vector<OomProcess> rows_;
};

bool is_within(std::string_view path, std::string_view group) {
  const std::string name = "/" + std::string(group);
  for (std::size_t at = path.find(name); at != std::string_view::npos; at = path.find(name, at + 1)) {
    const std::size_t end = at + name.size();
    if (end == path.size() || path[end] == '/') return true;
  }
  return false;
}

/// Whose limit it was: the group of a run lies below the task's, `group`.
OomLevel level_of(std::string_view line, std::string_view limit_group, std::string_view group) {
  const std::size_t at = limit_group.rfind('/');
  if (at != std::string_view::npos && limit_group.substr(at + 1) == group) return OomLevel::kTask;
  if (is_within(limit_group, group)) return OomLevel::kRun;
  return line.find("constraint=CONSTRAINT_MEMCG") != std::string_view::npos ? OomLevel::kAbove : OomLevel::kHost;
}

/// The value of `key` up to the next comma.
std::string_view value_of(std::string_view line, std::string_view key) {
  const std::size_t at = line.find(key);
  if (at == std::string_view::npos) return {};
  const std::string_view rest = line.substr(at + key.size());
  return rest.substr(0, rest.find(','));
}

/// "oom-kill:constraint=…,oom_memcg=/a,task_memcg=/a/b,task=name,pid=1,uid=0". A name may hold commas and the like, so
/// it is read from both ends.
std::optional<OomReport> read_verdict(std::string_view line, std::string_view group) {
  OomReport report;
  report.victim_group = value_of(line, ",task_memcg=");
  report.level = level_of(line, value_of(line, ",oom_memcg="), group);
  const bool own_limit = report.level == OomLevel::kRun || report.level == OomLevel::kTask;
  if (!own_limit && !is_within(report.victim_group, group)) return {};
  const std::size_t name = line.find(",task="), pid = line.rfind(",pid=");
  if (name == std::string_view::npos || pid == std::string_view::npos || pid < name) return {};
  report.victim.name = line.substr(name + 6, pid - name - 6);
  report.victim.pid = static_cast<pid_t>(parse_number(line.substr(pid + 5)));
  return report;
}

void add_sizes(OomReport& report, std::vector<OomProcess> rows) {
  const auto victim = std::ranges::find(rows, report.victim.pid, &OomProcess::pid);
  if (victim != rows.end()) report.victim.bytes = victim->bytes;
  std::ranges::stable_sort(rows, std::ranges::greater(), &OomProcess::bytes);
  rows.resize(std::min(rows.size(), kMostListed));
  report.biggest = std::move(rows);
}

}  // namespace

std::optional<OomReport> find_oom_report(std::string_view log, std::string_view group, std::uint64_t page_size) {
  std::optional<OomReport> last;
  TaskTable table;
  while (!log.empty()) {
    const std::string_view line = cut_line(log);
    if (line.starts_with("Tasks state (memory values in pages)")) {
      table.begin();
    } else if (line.starts_with("oom-kill:")) {
      if (auto report = read_verdict(line, group)) {
        add_sizes(*report, table.rows());
        last = std::move(report);
      }
      table.begin();
    } else {
      table.take(line, page_size);
    }
  }
  return last;
}

}  // namespace dewar
