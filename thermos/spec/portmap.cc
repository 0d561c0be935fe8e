#include "thermos/spec/portmap.h"

#include <charconv>
#include <set>

namespace dewar {

std::optional<std::int64_t> port_number(const std::string& text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number < 1 || number > 65535) return std::nullopt;
  return number;
}

std::vector<std::string> resolve_portmap(std::map<std::string, std::string>& portmap) {
  std::map<std::string, std::string> resolved;
  std::set<std::string> lost;  // in a cycle, or leading into one
  std::vector<std::string> cycles;
  for (const auto& [start, unused] : portmap) {
    std::vector<std::string> path;
    std::set<std::string> on_path;
    std::string at = start;
    while (portmap.contains(at) && !resolved.contains(at) && !lost.contains(at) && portmap[at] != at &&
           on_path.insert(at).second) {
      path.push_back(at);
      at = portmap[at];
    }
    if (on_path.contains(at)) {
      std::string words = at;
      for (std::string next = portmap[at]; next != at; next = portmap[next]) words += " -> " + next;
      cycles.push_back(words + " -> " + at);
      lost.insert(path.begin(), path.end());
    } else if (lost.contains(at)) {
      lost.insert(path.begin(), path.end());
    } else {
      const auto known = resolved.find(at);
      const std::string target = known == resolved.end() ? at : known->second;
      for (const std::string& name : path) resolved[name] = target;
      if (path.empty() && known == resolved.end()) resolved[at] = at;  // a port that stands for itself
    }
  }
  portmap = std::move(resolved);
  return cycles;
}

}  // namespace dewar
