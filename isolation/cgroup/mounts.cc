#include "isolation/cgroup/mounts.h"

namespace dewar {
namespace {

/// Calls `act` for each piece of `text` between separators; an empty last piece is none.
template <class Act>
void each_piece(std::string_view text, char separator, const Act& act) {
  while (!text.empty()) {
    const std::size_t end = text.find(separator);
    act(text.substr(0, end));
    if (end == text.npos) return;
    text.remove_prefix(end + 1);
  }
}

std::vector<std::string> pieces(std::string_view text, char separator) {
  std::vector<std::string> all;
  each_piece(text, separator, [&](std::string_view piece) { all.emplace_back(piece); });
  return all;
}

/// Space, tab, newline and backslash stand as three octal digits: "\040".
std::string unescape(std::string_view text) {
  const auto digit = [](char c) { return c >= '0' && c <= '7'; };
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool escape =
        text[i] == '\\' && i + 3 < text.size() && digit(text[i + 1]) && digit(text[i + 2]) && digit(text[i + 3]);
    if (!escape) {
      plain += text[i];
      continue;
    }
    plain += static_cast<char>((text[i + 1] - '0') << 6 | (text[i + 2] - '0') << 3 | (text[i + 3] - '0'));
    i += 3;
  }
  return plain;
}

}  // namespace

std::vector<CgroupMount> parse_cgroup_mounts(std::string_view mountinfo) {
  std::vector<CgroupMount> mounts;
  each_piece(mountinfo, '\n', [&](std::string_view line) {
    if (line.find(" - cgroup") == line.npos) return;  // most are none, and not worth taking apart
    const std::vector<std::string> words = pieces(line, ' ');
    std::size_t dash = 6;  // behind any number of optional fields
    while (dash < words.size() && words[dash] != "-") ++dash;
    if (dash + 3 >= words.size()) return;
    const std::string& type = words[dash + 1];
    if (type != "cgroup" && type != "cgroup2") return;
    mounts.push_back({unescape(words[4]), unescape(words[3]), type == "cgroup2", pieces(words[dash + 3], ',')});
  });
  return mounts;
}

std::map<std::string, std::string> parse_own_groups(std::string_view cgroup) {
  std::map<std::string, std::string> own;
  each_piece(cgroup, '\n', [&](std::string_view line) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == line.npos ? line.npos : line.find(':', first + 1);
    if (second == line.npos || line.substr(second + 1).empty()) return;
    const std::string path(line.substr(second + 1));
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    if (controllers.empty()) own[""] = path;
    each_piece(controllers, ',', [&](std::string_view name) { own[std::string(name)] = path; });
  });
  return own;
}

std::string path_below(const CgroupMount& mount, const std::string& path) {
  if (path == "/") return "";
  if (mount.root == "/") return path;
  return path.starts_with(mount.root + "/") ? path.substr(mount.root.size()) : "";
}

}  // namespace dewar
