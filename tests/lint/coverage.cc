#include "tests/lint/coverage.h"

#include <algorithm>
#include <map>
#include <optional>
#include <span>
#include <string_view>

namespace dewar::lint {
namespace {

constexpr std::string_view kDocument = "docs/sandbox.md", kCauseDocument = "docs/explain.md";
constexpr std::string_view kBegin = "<!-- made by tests/lint/coverage; do not edit -->\n";
constexpr std::string_view kEnd = "<!-- end of what was made -->\n";

struct Subject {
  const char* name;
  const char* words;
};

/// Vectors of attack; each has a test that fails without its defence.
constexpr Subject kAttacks[] = {
    {"S1", "overwrite our programs through /proc/self/exe"},
    {"S2", "a descriptor or working directory that leads out"},
    {"S3", "trace or look into an attempt before it is confined"},
    {"S4", "symbolic links where we mount or write"},
    {"S5", "cgroup v1's release_agent"},
    {"S6", "core_pattern and other sysctls"},
    {"S7", "abstract sockets of ours"},
    {"S8", "what /proc and /sys tell or let write"},
    {"S9", "trace, read or signal another task"},
    {"S10", "keyrings of others"},
    {"S11", "system calls that nobody needs"},
    {"S12", "make and read device nodes"},
    {"S13", "setuid files in the sandbox"},
    {"S14", "setuid files left for the host's users"},
    {"S15", "type into the terminal of others"},
    {"S16", "exhaust processes, files, descriptors, memory"},
    {"S17", "swap log files for links, pipes and mounts"},
};

/// What may go wrong, and must end truly, be told, and stay bounded.
constexpr Subject kFaults[] = {
    {"F9", "disk quota reached in the sandbox"},
    {"F10", "fork bomb"},
    {"F11", "a process takes all memory"},
    {"F12", "a child is killed for lack of memory, its parent lives"},
    {"F13", "the host itself lacks memory"},
    {"F14", "ten thousand zombies"},
    {"F15", "double fork and setsid"},
    {"F16", "a process turns into a daemon and its parent ends well"},
    {"F17", "a recorded pid is a stranger's"},
    {"F18", "a process is stuck in the kernel"},
    {"F19", "a cgroup cannot be removed"},
    {"F20", "a cgroup is changed or removed behind our back"},
    {"F21", "a cgroup is frozen"},
};

constexpr Subject kLimits[] = {
    {"limit cpu.weight", "processor share"},
    {"limit cpu.max", "processor quota"},
    {"limit cpuset.cpus", "processors"},
    {"limit memory.max", "memory"},
    {"limit memory.high", "memory, soft"},
    {"limit memory.swap.max", "swap"},
    {"limit pids.max", "processes and threads"},
    {"limit io.weight", "disk share"},
    {"limit io.max", "disk bytes and operations a second"},
    {"limit hugetlb", "huge pages"},
    {"limit rlimits", "rlimits"},
    {"limit oom_score_adj", "order of OOM victims"},
    {"limit resources.disk", "bytes on disk"},
    {"limit sandbox.inodes", "files on disk"},
    {"limit sandbox.log_quota", "bytes of output"},
    {"limit tmpfs", "file systems in memory"},
    {"limit devices", "devices"},
    {"limit ports", "ports"},
};

/// How a run or a task can end, by the names of thermos/explain/death.h.
constexpr Subject kCauses[] = {
    {"cause exit", "an exit status of its own"},
    {"cause command-not-found", "127: which command, in which PATH"},
    {"cause not-executable", "126: which file"},
    {"cause signal", "a signal whose sender the kernel does not tell; not ours"},
    {"cause crash", "SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT: at which address, in which library"},
    {"cause system-call", "SIGSYS: which call its filter forbids"},
    {"cause broken-pipe", "SIGPIPE"},
    {"cause file-size", "SIGXFSZ: rlimit fsize"},
    {"cause cpu-time", "SIGXCPU: rlimit cpu"},
    {"cause memory", "whose limit, the victim, the biggest processes, the last minute of memory"},
    {"cause disk", "limit, used, the biggest folders"},
    {"cause pids", "limit of processes and threads, forks refused"},
    {"cause time-limit", "`time_limit` of a run or of the task"},
    {"cause health-check", "which check, how often in a row, its last five answers"},
    {"cause fetch", "an artifact: the last answer"},
    {"cause launch", "a step before exec, and what to do about it"},
    {"cause stopped", "by Dewar, because the task ended, and why that did"},
    {"cause launcher-lost", "the launcher died: how the run ended is not known"},
    {"cause runner-lost", "of a living task: nobody looks after it"},
    {"cause sandbox-lost", "the container's first process died"},
    {"cause host-lost", "the host was started anew"},
    {"cause cgroup-removed", "somebody removed the task's cgroup"},
    {"cause request", "killed or lost on request: by which process, of which user"},
    {"cause dependency", "not started: the chain of what it waited for"},
    {"cause processes", "of a task: which processes failed, how often, and why"},
    {"cause not-started", "the task ended first, and why"},
    {"cause running", "of a living run: since when, which run of how many"},
    {"cause waiting", "for which process, and what that one is at"},
};

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t"), last = text.find_last_not_of(" \t");
  return first == text.npos ? std::string_view() : text.substr(first, last - first + 1);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> pieces;
  while (true) {
    const std::size_t end = text.find(separator);
    pieces.push_back(trimmed(text.substr(0, end)));
    if (end == text.npos) return pieces;
    text.remove_prefix(end + 1);
  }
}

/// "TEST_F(Suite, Name) {" -> "Suite.Name"; the head of a test may run over two lines.
std::optional<std::string> test_name(std::string_view head) {
  const std::size_t open = head.find('('), close = head.find(')');
  if (!head.starts_with("TEST") || open == head.npos || close == head.npos || close < open) return std::nullopt;
  const auto names = split(head.substr(open + 1, close - open - 1), ',');
  if (names.size() != 2) return std::nullopt;
  return std::string(names[0]) + "." + std::string(names[1]);
}

/// `[`Suite.Name`](../tests/room/file.cc)`, one after the other.
std::string links(const std::vector<Covering>& tests) {
  std::string text;
  for (const Covering& test : tests)
    text += (text.empty() ? "" : ", ") + ("[`" + test.test + "`](../" + test.path + ")");
  return text;
}

using BySubject = std::map<std::string, std::vector<Covering>>;

void add_table(std::string& text, std::string_view title, std::span<const Subject> subjects, BySubject& by_subject) {
  text += "\n### " + std::string(title) + "\n\n| | what | tests |\n|---|---|---|\n";
  for (const Subject& subject : subjects) {
    std::string_view name = subject.name;
    for (const std::string_view kind : {"limit ", "cause "})
      if (name.starts_with(kind)) name.remove_prefix(kind.size());
    text += "| " + std::string(name) + " | " + subject.words + " | " + links(by_subject[subject.name]) + " |\n";
    by_subject.erase(subject.name);
  }
}

}  // namespace

std::vector<Covering> coverings(const std::vector<Source>& tree, std::vector<Finding>& findings) {
  constexpr std::string_view kMark = "// covers:";
  std::vector<Covering> all;
  for (const Source& file : tree) {
    if (!file.path.starts_with("tests/") || !file.path.ends_with(".cc")) continue;
    const auto lines = split(file.text, '\n');
    for (std::size_t i = 0; i < lines.size(); ++i) {
      if (!lines[i].starts_with(kMark)) continue;
      std::size_t at = i + 1;
      while (at < lines.size() && lines[at].starts_with("//")) ++at;
      std::string head;
      for (std::size_t more = at; more < lines.size() && more < at + 2; ++more) head += std::string(lines[more]) + " ";
      const auto test = test_name(head);
      if (!test) {
        findings.push_back({file.path, static_cast<int>(i) + 1, "'covers' stands above no test"});
        continue;
      }
      for (const std::string_view subject : split(lines[i].substr(kMark.size()), ','))
        all.push_back({std::string(subject), *test, file.path});
    }
  }
  return all;
}

std::string coverage_tables(const std::vector<Covering>& all) {
  BySubject by_subject;
  for (const Covering& covering : all) by_subject[covering.subject].push_back(covering);
  std::string text;
  add_table(text, "Attacks", kAttacks, by_subject);
  add_table(text, "Faults", kFaults, by_subject);
  add_table(text, "Limits crossed", kLimits, by_subject);
  text += "\n### What else is shown\n\n| what | tests |\n|---|---|\n";
  std::erase_if(by_subject, [](const auto& entry) { return entry.first.starts_with("cause "); });
  for (const auto& [subject, tests] : by_subject) text += "| " + subject + " | " + links(tests) + " |\n";
  return text + "\n";
}

std::string cause_table(const std::vector<Covering>& all) {
  BySubject by_subject;
  for (const Covering& covering : all) by_subject[covering.subject].push_back(covering);
  std::string text;
  add_table(text, "Causes", kCauses, by_subject);
  return text + "\n";
}

std::string with_tables(const std::string& document, const std::string& tables) {
  const std::size_t begin = document.find(kBegin), end = document.find(kEnd);
  if (begin == std::string::npos || end == std::string::npos || end < begin) return document;
  return document.substr(0, begin + kBegin.size()) + tables + document.substr(end);
}

std::vector<Finding> check_coverage(const std::vector<Source>& tree) {
  std::vector<Finding> findings;
  const std::vector<Covering> all = coverings(tree, findings);
  const auto need = [&](std::span<const Subject> subjects) {
    for (const Subject& subject : subjects)
      if (std::ranges::find(all, subject.name, &Covering::subject) == all.end())
        findings.push_back({std::string(kDocument), 0, std::string(subject.name) + " is covered by no test"});
  };
  need(kAttacks);
  need(kFaults);
  need(kLimits);
  need(kCauses);
  // Every cause that the code knows is one of these: `{Cause::kExit, "exit"},`.
  const auto code = std::ranges::find(tree, "thermos/explain/death.cc", &Source::path);
  for (const std::string_view line : split(code == tree.end() ? "" : code->text, '\n')) {
    const std::size_t begin = line.find('"'), end = line.rfind('"');
    if (!line.starts_with("    {Cause::k") || begin == std::string_view::npos || line.starts_with("    {Cause::kNone,"))
      continue;
    const std::string name = "cause " + std::string(line.substr(begin + 1, end - begin - 1));
    if (std::ranges::find(kCauses, name, &Subject::name) == std::end(kCauses))
      findings.push_back({"tests/lint/coverage.cc", 0, name + " has no row in kCauses, and so no test"});
  }
  const auto check = [&](std::string_view path, const std::string& tables) {
    const auto document = std::ranges::find(tree, path, &Source::path);
    if (document == tree.end() || document->text.find(kBegin) == std::string::npos) {
      findings.push_back({std::string(path), 0, "has no place for the tables of tests"});
    } else if (with_tables(document->text, tables) != document->text) {
      findings.push_back({std::string(path), 0, "its tables are not what the tests say: run bin/coverage of a build"});
    }
  };
  check(kDocument, coverage_tables(all));
  check(kCauseDocument, cause_table(all));
  return findings;
}

}  // namespace dewar::lint
