#include "thermos/spec/graph.h"

#include <algorithm>
#include <set>

#include "thermos/spec/bind.h"

namespace dewar {

std::vector<Edge> edges_of(const TaskSpec& spec) {
  std::map<std::string_view, std::size_t> index;
  for (std::size_t i = 0; i < spec.processes.size(); ++i) index.emplace(spec.processes[i].name, i);
  std::vector<Edge> edges;
  std::set<std::pair<std::size_t, std::size_t>> seen;
  for (std::size_t o = 0; o < spec.constraints.size(); ++o) {
    const Order& order = spec.constraints[o];
    for (std::size_t i = 1; i < order.size(); ++i) {
      const auto before = index.find(order[i - 1]), after = index.find(order[i]);
      if (before == index.end() || after == index.end()) continue;
      if (seen.emplace(before->second, after->second).second) edges.push_back({before->second, after->second, o, i});
    }
  }
  return edges;
}

std::vector<int> levels_of(std::size_t processes, const std::vector<Edge>& edges) {
  std::vector<std::vector<std::size_t>> next(processes);
  std::vector<std::size_t> waits_for(processes, 0);
  for (const Edge& edge : edges) next[edge.before].push_back(edge.after), ++waits_for[edge.after];
  std::vector<int> levels(processes, -1);
  std::vector<std::size_t> ready;
  for (std::size_t i = 0; i < processes; ++i) {
    if (waits_for[i] == 0) ready.push_back(i);
  }
  for (int level = 0; !ready.empty(); ++level) {
    std::vector<std::size_t> later;
    for (const std::size_t i : ready) {
      levels[i] = level;
      for (const std::size_t n : next[i]) {
        if (--waits_for[n] == 0) later.push_back(n);
      }
    }
    ready = std::move(later);
  }
  return levels;
}

std::vector<std::vector<std::size_t>> cycles_of(std::size_t processes, std::vector<Edge> edges, std::size_t limit) {
  constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  std::vector<std::vector<std::size_t>> cycles;
  while (cycles.size() < limit) {
    const std::vector<int> levels = levels_of(processes, edges);
    // Every process without a level has a predecessor without one: walking back from any must go round in the end.
    std::vector<std::size_t> back(processes, kNone), step(processes, kNone), path;
    for (const Edge& edge : edges) {
      if (levels[edge.before] < 0 && levels[edge.after] < 0) back[edge.after] = edge.before;
    }
    std::size_t at = 0;
    while (at < processes && levels[at] >= 0) ++at;
    if (at == processes) break;
    for (; step[at] == kNone; at = back[at]) step[at] = path.size(), path.push_back(at);
    std::vector<std::size_t> cycle(path.begin() + static_cast<std::ptrdiff_t>(step[at]), path.end());
    std::reverse(cycle.begin(), cycle.end());
    std::rotate(cycle.begin(), std::min_element(cycle.begin(), cycle.end()), cycle.end());
    const std::set<std::size_t> members(cycle.begin(), cycle.end());
    std::erase_if(edges, [&](const Edge& e) { return members.contains(e.before) || members.contains(e.after); });
    cycles.push_back(std::move(cycle));
  }
  return cycles;
}

Graph graph_of(const TaskSpec& spec) {
  const std::vector<Edge> edges = edges_of(spec);
  const std::vector<int> levels = levels_of(spec.processes.size(), edges);
  Graph graph;
  for (const Edge& e : edges) graph.edges.emplace_back(spec.processes[e.before].name, spec.processes[e.after].name);
  std::vector<std::size_t> finals;
  for (std::size_t i = 0; i < spec.processes.size(); ++i) {
    const auto level = static_cast<std::size_t>(levels[i]);
    if (spec.processes[i].final) {
      finals.push_back(i);
    } else {
      if (graph.levels.size() <= level) graph.levels.resize(level + 1);
      graph.levels[level].push_back(spec.processes[i].name);
    }
  }
  std::stable_sort(finals.begin(), finals.end(), [&](auto a, auto b) { return levels[a] < levels[b]; });
  for (const std::size_t i : finals) graph.final.push_back(spec.processes[i].name);
  return graph;
}

}  // namespace dewar
