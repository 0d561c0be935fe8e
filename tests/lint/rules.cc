#include "tests/lint/rules.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <map>
#include <set>
#include <string_view>

#include "base/files.h"

namespace dewar::lint {
namespace {

namespace fs = std::filesystem;

constexpr std::array kRooms{"base", "isolation", "fetcher", "thermos", "agent", "tests"};
constexpr int kFileLines = 450, kFunctionLines = 80;

bool is_code(std::string_view path) { return path.ends_with(".h") || path.ends_with(".cc"); }

std::string room_of(std::string_view path) { return std::string(path.substr(0, path.find('/'))); }

struct Include {
  std::string what;
  int line;
  bool quoted;
};

std::vector<Include> includes_of(const std::string& text) {
  constexpr std::string_view kDirective = "#include ";
  std::vector<Include> found;
  int line = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view row = std::string_view(text).substr(at, end - at);
    ++line;
    at = end + 1;
    if (!row.starts_with(kDirective)) continue;
    const std::string_view rest = row.substr(kDirective.size());
    const std::size_t close = rest.find_first_of("\">", 1);
    if (close != std::string_view::npos)
      found.push_back({std::string(rest.substr(1, close - 1)), line, rest[0] == '"'});
  }
  return found;
}

/// Which paths (by their beginning) a room may include besides its own.
std::vector<std::string> below(const std::string& room) {
  if (room == "isolation") return {"base/"};
  if (room == "fetcher") return {"base/"};
  if (room == "thermos") return {"base/", "isolation/", "fetcher/artifact.h", "fetcher/request.h"};
  if (room == "agent") return {"base/", "isolation/", "fetcher/", "thermos/"};
  if (room == "tests") return {"base/", "isolation/", "fetcher/", "thermos/", "agent/"};
  return {};
}

bool may_include(const std::string& path, const std::string& what) {
  const auto begins = [&](std::string_view start) { return what.starts_with(start); };
  if (path.starts_with("isolation/launch/")) {
    constexpr std::array kSeen{"base/",
                               "isolation/launch/",
                               "isolation/launch_info.h",
                               "isolation/landlock.h",
                               "isolation/attempt_status.h",
                               "isolation/sandbox_spec.h",
                               "isolation/log_collector.h",
                               "isolation/log_index.h",
                               "isolation/log_pipe.h",
                               "isolation/log_quota.h",
                               "isolation/old_runs.h"};
    return std::ranges::any_of(kSeen, begins);
  }
  const std::string room = room_of(path);
  if (begins("isolation/launch/") && room != "isolation" && room != "tests") return false;  // a program
  return begins(room + "/") || std::ranges::any_of(below(room), begins);
}

bool must_stay_tiny(std::string_view path) {
  return path.starts_with("isolation/launch/") || path.starts_with("thermos/runner/") || path.starts_with("base/");
}

std::string module_of(const std::string& path) { return path.substr(0, path.rfind('.')); }

using Graph = std::map<std::string, std::set<std::string>>;

Graph graph_of(const std::vector<Source>& tree) {
  Graph graph;
  for (const Source& file : tree) {
    if (!is_code(file.path)) continue;
    for (const Include& include : includes_of(file.text)) {
      if (include.quoted && module_of(include.what) != module_of(file.path)) {
        graph[module_of(file.path)].insert(module_of(include.what));
      }
    }
  }
  return graph;
}

/// Depth first; `trail` is the way from the start to `module`. Each cycle is told once, where the way first closes.
void find_cycles(const Graph& graph, const std::string& module, std::vector<std::string>& trail,
                 std::set<std::string>& done, std::vector<Finding>& findings) {
  const auto again = std::ranges::find(trail, module);
  if (again != trail.end()) {
    std::string path;
    for (auto step = again; step != trail.end(); ++step) path += *step + " -> ";
    findings.push_back({module, 0, "include cycle: " + path + module});
    return;
  }
  if (done.contains(module)) return;
  trail.push_back(module);
  if (const auto edges = graph.find(module); edges != graph.end()) {
    for (const std::string& next : edges->second) find_cycles(graph, next, trail, done, findings);
  }
  trail.pop_back();
  done.insert(module);
}

int count_lines(std::string_view text) { return static_cast<int>(std::ranges::count(text, '\n')); }

/// True for what may stand before a function's body: it has a parameter list and is no type or namespace.
bool opens_function(std::string_view header) {
  const std::size_t start = header.find_first_not_of(" \n\t");
  if (start == std::string_view::npos || header.find('(') == std::string_view::npos) return false;
  for (std::string_view word : {"namespace", "class ", "struct ", "enum ", "union ", "extern "}) {
    if (header.substr(start).starts_with(word)) return false;
  }
  return true;
}

/// Walks the braces of blanked text and tells each outermost function that is too long.
void measure_functions(const std::string& path, const std::string& code, std::vector<Finding>& findings) {
  int depth = 0, function_depth = -1, first_line = 0, line = 1;
  std::size_t header = 0;
  for (std::size_t i = 0; i < code.size(); ++i) {
    if (code[i] == '\n') ++line;
    if (code[i] == ';' && function_depth < 0) header = i + 1;
    if (code[i] == '{') {
      if (function_depth < 0 && opens_function(std::string_view(code).substr(header, i - header))) {
        function_depth = depth;
        const std::size_t name = code.find_first_not_of(" \n\t", header);
        first_line = line - count_lines(std::string_view(code).substr(name, i - name));
      }
      if (function_depth < 0) header = i + 1;
      ++depth;
    } else if (code[i] == '}') {
      --depth;
      if (function_depth >= 0 && depth > function_depth) continue;
      const std::size_t next = code.find_first_not_of(" \n\t", i + 1);
      const bool initializer =
          function_depth >= 0 && next != std::string::npos && (code[next] == ',' || code[next] == '{');
      if (function_depth >= 0 && !initializer && line - first_line + 1 > kFunctionLines) {
        findings.push_back({path, first_line,
                            "a function of " + std::to_string(line - first_line + 1) + " lines; the limit is " +
                                std::to_string(kFunctionLines)});
      }
      if (!initializer) header = i + 1;
      function_depth = -1;
    }
  }
}

bool is_word_char(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

bool has_word(std::string_view text, std::string_view word) {
  for (std::size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
    const bool starts = at == 0 || !is_word_char(text[at - 1]);
    const std::size_t end = at + word.size();
    if (starts && (end == text.size() || !is_word_char(text[end]))) return true;
  }
  return false;
}

}  // namespace

Result<std::vector<Source>> read_tree(const std::string& root) {
  constexpr std::array kFolders{"base", "isolation", "fetcher", "thermos",  "agent", "tests",
                                "docs", "packaging", "cmake",   "examples", ".ci"};
  std::vector<Source> tree;
  for (const std::string folder : kFolders) {
    std::error_code error;
    for (const auto& entry : fs::recursive_directory_iterator(root + "/" + folder, error)) {
      if (!entry.is_regular_file() || entry.path().string().find("/corpus/") != std::string::npos) continue;
      Source file{fs::relative(entry.path(), root).string(), {}};
      file.text = DEWAR_TRY(read_file(entry.path().string()));
      tree.push_back(std::move(file));
    }
  }
  std::ranges::sort(tree, {}, &Source::path);
  return tree;
}

std::vector<Finding> check_floors(const std::vector<Source>& tree) {
  std::vector<Finding> findings;
  for (const Source& file : tree) {
    if (!is_code(file.path)) continue;
    for (const Include& include : includes_of(file.text)) {
      if (include.quoted && std::ranges::find(kRooms, room_of(include.what)) == kRooms.end()) {
        findings.push_back(
            {file.path, include.line, "'" + include.what + "' is not a path from the repository's root"});
      } else if (include.quoted && !may_include(file.path, include.what)) {
        findings.push_back(
            {file.path, include.line, "may not include '" + include.what + "': it is not on a floor below"});
      }
      const bool heavy = include.what == "iostream" || include.what == "fstream" || include.what == "regex";
      if (!include.quoted && heavy && must_stay_tiny(file.path)) {
        findings.push_back({file.path, include.line, "<" + include.what + "> makes every task's programs bigger"});
      }
    }
  }
  return findings;
}

std::vector<Finding> check_cycles(const std::vector<Source>& tree) {
  std::vector<Finding> findings;
  std::set<std::string> done;
  const Graph graph = graph_of(tree);
  for (const auto& [module, edges] : graph) {
    std::vector<std::string> trail;
    find_cycles(graph, module, trail, done, findings);
  }
  return findings;
}

std::vector<Finding> check_sizes(const std::vector<Source>& tree) {
  std::vector<Finding> findings;
  for (const Source& file : tree) {
    if (!is_code(file.path)) continue;
    if (const int lines = count_lines(file.text); lines > kFileLines) {
      findings.push_back({file.path, 0, std::to_string(lines) + " lines; the limit is " + std::to_string(kFileLines)});
    }
    measure_functions(file.path, blank_literals(file.text), findings);
  }
  return findings;
}

std::vector<Finding> check_promises(const std::vector<Source>& tree) {
  constexpr std::array kWords{
      "TO"
      "DO",
      "FIX"
      "ME",
      "X"
      "XX"};
  std::vector<Finding> findings;
  for (const Source& file : tree) {
    int line = 0;
    for (std::size_t at = 0; at < file.text.size();) {
      const std::size_t end = std::min(file.text.find('\n', at), file.text.size());
      ++line;
      for (const std::string word : kWords) {
        if (has_word(std::string_view(file.text).substr(at, end - at), word)) {
          findings.push_back({file.path, line, word + " left in"});
        }
      }
      at = end + 1;
    }
  }
  return findings;
}

}  // namespace dewar::lint
