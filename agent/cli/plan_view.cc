#include "agent/cli/plan_view.h"

#include <algorithm>

#include "base/json_writer.h"

namespace dewar {
namespace {

struct Signs {
  const char *only, *first, *middle, *last, *next_level, *waits_for;
};
constexpr Signs kLines = {"─", "┬", "├", "└", "↓", "←"};
constexpr Signs kAscii = {"-", "+", "|", "+", "v", "<-"};

std::string padded(const std::string& text, std::size_t columns) {
  const std::size_t used = columns_of(text);
  return text + std::string(columns > used ? columns - used : 0, ' ');
}

std::string marks_of(const ProcessSpec& process) {
  std::string marks = process.daemon ? "daemon" : "";
  if (process.ephemeral) marks += marks.empty() ? "ephemeral" : ", ephemeral";
  return marks;
}

std::string count(std::size_t n, const std::string& one, const std::string& many) {
  return std::to_string(n) + " " + (n == 1 ? one : many);
}

class Drawing {
 public:
  Drawing(const TaskSpec& spec, const Paint& paint)
      : spec_(spec), paint_(paint), signs_(paint.utf8 ? kLines : kAscii), graph_(graph_of(spec)) {
    for (const ProcessSpec& process : spec.processes) {
      processes_[process.name] = &process;
      name_width_ = std::max(name_width_, columns_of(printable(process.name)));
      marks_width_ = std::max(marks_width_, marks_of(process).size());
    }
    for (const auto& [before, after] : graph_.edges) {
      std::string& words = waits_for_[after];
      words += (words.empty() ? "" : ", ") + printable(before);
    }
    number_width_ = std::to_string(graph_.levels.size()).size();
  }

  std::string draw() {
    title();
    for (std::size_t i = 0; i < graph_.levels.size(); ++i) {
      if (i > 0) out_ += "  " + padded("", number_width_ - 1) + paint_.tone(Tone::kFaint, signs_.next_level) + "\n";
      group(std::to_string(i + 1), graph_.levels[i]);
    }
    if (!graph_.final.empty()) {
      out_ += "\n  " + paint_.tone(Tone::kBold, "finally") + "\n";
      group("", graph_.final);
    }
    return out_;
  }

 private:
  void title() {
    const std::size_t regular = spec_.processes.size() - graph_.final.size();
    out_ = paint_.tone(Tone::kBold, printable(spec_.name)) + ": " + count(regular, "process", "processes") + " on " +
           count(graph_.levels.size(), "level", "levels");
    if (!graph_.final.empty()) out_ += ", " + std::to_string(graph_.final.size()) + " final";
    out_ += "\n\n";
  }

  void group(const std::string& number, const std::vector<std::string>& names) {
    for (std::size_t i = 0; i < names.size(); ++i) {
      const char* branch = names.size() == 1       ? signs_.only
                           : i == 0                ? signs_.first
                           : i + 1 == names.size() ? signs_.last
                                                   : signs_.middle;
      const std::string shown =
          i == 0 ? std::string(number_width_ - number.size(), ' ') + number : std::string(number_width_, ' ');
      line("  " + paint_.tone(Tone::kFaint, shown + " " + branch) + " ", names[i]);
    }
  }

  void line(const std::string& head, const std::string& name) {
    const std::string marks = marks_of(*processes_.at(name));
    const auto before = waits_for_.find(name);
    std::string row = head + padded(printable(name), name_width_);
    if (marks_width_ > 0) row += "  " + paint_.tone(Tone::kBusy, marks) + std::string(marks_width_ - marks.size(), ' ');
    if (before != waits_for_.end()) {
      row += "  " + paint_.tone(Tone::kFaint, std::string(signs_.waits_for) + " " + before->second);
    }
    row.erase(row.find_last_not_of(' ') + 1);
    out_ += row + "\n";
  }

  const TaskSpec& spec_;
  const Paint& paint_;
  const Signs& signs_;
  const Graph graph_;
  std::map<std::string, const ProcessSpec*> processes_;
  std::map<std::string, std::string> waits_for_;
  std::size_t name_width_ = 0, marks_width_ = 0, number_width_ = 1;
  std::string out_;
};

std::string dot_quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : printable(text)) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

void write_names(JsonWriter& json, const std::vector<std::string>& names) {
  json.begin_array();
  for (const std::string& name : names) json.value(name);
  json.end_array();
}

}  // namespace

std::string draw_plan(const TaskSpec& spec, const Paint& paint) { return Drawing(spec, paint).draw(); }

std::string plan_as_dot(const TaskSpec& spec) {
  std::string out = "digraph " + dot_quoted(spec.name) + " {\n  rankdir=LR;\n  node [shape=box];\n";
  const auto node = [](const ProcessSpec& process, const std::string& indent) {
    const std::string style = process.daemon && process.ephemeral ? " [peripheries=2, style=dashed]"
                              : process.daemon                    ? " [peripheries=2]"
                              : process.ephemeral                 ? " [style=dashed]"
                                                                  : "";
    return indent + dot_quoted(process.name) + style + ";\n";
  };
  const bool any_final = std::any_of(spec.processes.begin(), spec.processes.end(), [](auto& p) { return p.final; });
  for (const ProcessSpec& process : spec.processes) {
    if (!process.final) out += node(process, "  ");
  }
  if (any_final) {
    out += "  subgraph cluster_final {\n    label=\"finally\";\n";
    for (const ProcessSpec& process : spec.processes) {
      if (process.final) out += node(process, "    ");
    }
    out += "  }\n";
  }
  for (const auto& [before, after] : graph_of(spec).edges) {
    out += "  " + dot_quoted(before) + " -> " + dot_quoted(after) + ";\n";
  }
  return out + "}\n";
}

std::string plan_as_json(const TaskSpec& spec) {
  const Graph graph = graph_of(spec);
  JsonWriter json;
  json.begin_object().key("levels").begin_array();
  for (const auto& level : graph.levels) write_names(json, level);
  json.end_array().key("edges").begin_array();
  for (const auto& [before, after] : graph.edges) write_names(json, {before, after});
  json.end_array().key("final");
  write_names(json, graph.final);
  json.end_object();
  return json.take() + "\n";
}

}  // namespace dewar
