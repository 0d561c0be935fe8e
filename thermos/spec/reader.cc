#include "thermos/spec/reader.h"

#include <algorithm>

#include "base/utf8.h"
#include "thermos/spec/checks.h"

namespace dewar {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr std::size_t kMaxComplaints = 100;  // told in one go

std::string without_mark(const std::string& text) {
  return text.starts_with(kByteOrderMark) ? text.substr(kByteOrderMark.size()) : text;
}

/// The first thing that no task file may hold, whatever its form.
std::optional<Complaint> bad_character(std::string_view text) {
  Complaint at{1, 1, {}};
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t size = utf8_size(rest);
    const auto c = static_cast<unsigned char>(rest.front());
    if (size == 0) at.message = "not UTF-8; save the file as UTF-8";
    if (c < 0x20 && c != '\t' && c != '\n' && c != '\r') at.message = "a control character; is this a text file?";
    if (!at.message.empty()) return at;
    at.column += static_cast<int>(size);
    if (c == '\n') ++at.line, at.column = 1;
    rest.remove_prefix(size);
  }
  return std::nullopt;
}

/// JSON is told from YAML's `{a: b}` by its first key's quote.
bool is_json(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  std::size_t at = text.find_first_not_of(kSpace);
  if (at == std::string_view::npos || text[at] != '{') return false;
  at = text.find_first_not_of(kSpace, at + 1);
  return at != std::string_view::npos && (text[at] == '"' || text[at] == '}');
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line = text.substr(begin, end - begin);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back(line);
    begin = end + 1;
  }
  return lines;
}

std::size_t characters(std::string_view text) {
  std::size_t count = 0;
  for (; !text.empty(); ++count) text.remove_prefix(std::max<std::size_t>(1, utf8_size(text)));
  return count;
}

/// Puts complaints into the file's order, and their columns into characters.
void finish(std::vector<Complaint>& complaints, std::string_view text) {
  const auto before = [](const Complaint& a, const Complaint& b) {
    return std::pair(a.line, a.column) < std::pair(b.line, b.column);
  };
  std::stable_sort(complaints.begin(), complaints.end(), before);
  if (complaints.size() > kMaxComplaints) {
    const std::size_t more = complaints.size() - kMaxComplaints;
    complaints.resize(kMaxComplaints);
    complaints.push_back({0, 0, "and " + std::to_string(more) + " more"});
  }
  const std::vector<std::string_view> lines = lines_of(text);
  for (Complaint& complaint : complaints) {
    if (complaint.line < 1 || static_cast<std::size_t>(complaint.line) > lines.size()) continue;
    const std::string_view line = lines[static_cast<std::size_t>(complaint.line) - 1];
    const std::size_t bytes = static_cast<std::size_t>(std::max(complaint.column, 1)) - 1;
    complaint.column = static_cast<int>(characters(line.substr(0, std::min(bytes, line.size())))) + 1;
  }
}

TaskReading refused(Complaint complaint) { return {std::nullopt, {std::move(complaint)}}; }

}  // namespace

TaskReading read_task(const std::string& raw) {
  if (raw.size() > kMaxFileSize) return refused({0, 0, "larger than 1 MiB, the most a task file may have"});
  const std::string text = without_mark(raw);
  if (text.find_first_not_of(" \t\r\n") == std::string::npos) return refused({0, 0, "the file is empty"});
  TaskReading result;
  if (const auto bad = bad_character(text)) {
    result.complaints = {*bad};
    finish(result.complaints, text);
    return result;
  }
  const bool json = is_json(text);
  ParsedTree tree = json ? parse_json(text) : parse_yaml(text);
  if (!tree.root) {
    result.complaints = std::move(tree.complaints);
    if (result.complaints.empty()) result.complaints.push_back({0, 0, "the file holds no task"});
  } else {
    Reading reading(!json);
    TaskDraft task;
    read_root(reading, *tree.root, task);
    if (tree.root->kind == Node::Kind::kMap) check_task(reading, task);
    result.complaints = reading.take_complaints();
    const bool good =
        std::all_of(result.complaints.begin(), result.complaints.end(), [](auto& c) { return c.warning; });
    if (good) result.spec = std::move(static_cast<TaskSpec&>(task));
  }
  finish(result.complaints, text);
  return result;
}

std::string show_complaints(const std::string& file, const std::string& raw, const std::vector<Complaint>& complaints) {
  constexpr std::size_t kWidest = 160;  // characters of a source line; longer ones only hide the message
  const std::string text = without_mark(raw);
  const std::vector<std::string_view> lines = lines_of(text);
  std::string out;
  for (const Complaint& complaint : complaints) {
    out += file + ":";
    if (complaint.line > 0) out += std::to_string(complaint.line) + ":" + std::to_string(complaint.column) + ":";
    out += (complaint.warning ? " warning: " : " error: ") + complaint.message + "\n";
    if (complaint.line < 1 || static_cast<std::size_t>(complaint.line) > lines.size()) continue;
    std::string_view line = lines[static_cast<std::size_t>(complaint.line) - 1];
    std::string shown, caret;
    for (int column = 1; column <= complaint.column || !line.empty(); ++column) {
      if (line.empty() || static_cast<std::size_t>(column) > kWidest) break;
      const std::size_t size = std::max<std::size_t>(1, utf8_size(line));
      const bool control = static_cast<unsigned char>(line.front()) < 0x20 && line.front() != '\t';
      shown += control ? "?" : std::string(line.substr(0, size));
      if (column < complaint.column) caret += line.front() == '\t' ? '\t' : ' ';
      line.remove_prefix(size);
    }
    if (static_cast<std::size_t>(complaint.column) > kWidest || shown.empty()) continue;
    out += "    " + shown + (line.empty() ? "" : "…") + "\n    " + caret + "^\n";
  }
  return out;
}

}  // namespace dewar
