#include "thermos/spec/checks.h"

#include <map>
#include <set>

#include "thermos/spec/graph.h"
#include "thermos/spec/portmap.h"

namespace dewar {
namespace {

constexpr std::size_t kMaxCycles = 10;  // told in one go

/// The task's artifacts become a process of that name, which every regular process that waits for nothing waits for.
void add_artifacts(TaskDraft& task) {
  if (task.artifacts.empty()) return;
  ProcessSpec fetcher;
  fetcher.name = "artifacts";
  fetcher.fetch = task.artifacts;
  std::set<std::string_view> waiting;
  for (const Order& order : task.constraints) {
    for (std::size_t i = 1; i < order.size(); ++i) waiting.insert(order[i]);
  }
  std::vector<Order> orders;
  for (const ProcessSpec& process : task.processes) {
    const bool first = !process.final && !waiting.contains(process.name) && process.name != fetcher.name;
    if (first) orders.push_back({fetcher.name, process.name});
  }
  for (Order& order : orders) {
    task.order_places.emplace_back(order.size(), task.artifacts_place);
    task.constraints.push_back(std::move(order));
  }
  task.processes.insert(task.processes.begin(), std::move(fetcher));
  task.process_places.insert(task.process_places.begin(), task.artifacts_place);
}

void check_names(Reading& reading, const TaskDraft& task) {
  if (!task.has_processes) reading.complain(task.place, "a task needs at least one process");
  std::map<std::string_view, Place> first;
  for (std::size_t i = 0; i < task.processes.size(); ++i) {
    const std::string& name = task.processes[i].name;
    const auto [earlier, is_new] = first.emplace(name, task.process_places[i]);
    if (is_new) continue;
    reading.complain(task.process_places[i], "two processes are named " + quoted(name) + "; the first stands in line " +
                                                 std::to_string(earlier->second.line));
  }
}

void check_order_names(Reading& reading, const TaskDraft& task) {
  std::map<std::string_view, const ProcessSpec*> known;
  for (const ProcessSpec& process : task.processes) known.emplace(process.name, &process);
  std::vector<std::string> names;
  for (const auto& [name, process] : known) {
    if (names.size() < 200) names.emplace_back(name);
  }
  for (std::size_t o = 0; o < task.constraints.size(); ++o) {
    const ProcessSpec* other = nullptr;
    for (std::size_t i = 0; i < task.constraints[o].size(); ++i) {
      const std::string& name = task.constraints[o][i];
      const auto found = known.find(name);
      if (found == known.end()) {
        reading.complain(task.order_places[o][i],
                         "no process is named " + quoted(name) + reading.scope.guess(name, names));
      } else if (other && other->final != found->second->final) {
        const ProcessSpec& a = other->final ? *other : *found->second;
        const ProcessSpec& b = other->final ? *found->second : *other;
        reading.complain(task.order_places[o][i], "an order cannot mix " + quoted(a.name) + ", which is final, and " +
                                                      quoted(b.name) + ", which is not");
        break;
      } else {
        other = found->second;
      }
    }
  }
}

void check_graph(Reading& reading, const TaskDraft& task) {
  const std::vector<Edge> edges = edges_of(task);
  std::map<std::pair<std::size_t, std::size_t>, Place> places;
  for (const Edge& edge : edges) {
    const Place place = task.order_places[edge.order][edge.position];
    places[{edge.before, edge.after}] = place;
    const ProcessSpec &before = task.processes[edge.before], &after = task.processes[edge.after];
    if (before.daemon) {
      reading.complain(place, quoted(after.name) + " would wait for ever: " + quoted(before.name) +
                                  " is a daemon and never finishes");
    }
    if (before.ephemeral && !after.ephemeral) {
      reading.complain(place, quoted(after.name) + " cannot wait for " + quoted(before.name) +
                                  ", which is ephemeral and need not finish, unless it is ephemeral too");
    }
  }
  for (const auto& cycle : cycles_of(task.processes.size(), edges, kMaxCycles)) {
    std::string words;
    for (const std::size_t i : cycle) words += task.processes[i].name + " -> ";
    reading.complain(places[{cycle.back(), cycle.front()}],
                     "processes wait for each other in a circle: " + words + task.processes[cycle.front()].name);
  }
}

/// The names that need a number, aliases and static ports resolved (docs/task-file.md, "announce").
void gather_ports(const std::set<std::string>& referenced, TaskDraft& task) {
  std::set<std::string> needed;
  const std::map<std::string, std::string> none;
  const auto& portmap = task.announce ? task.announce->portmap : none;
  const auto need = [&](const std::string& name) {
    const auto alias = portmap.find(name);
    const std::string& target = alias == portmap.end() ? name : alias->second;
    if (alias == portmap.end() || !port_number(target)) needed.insert(target);
  };
  for (const std::string& name : task.ports) need(name);
  for (const std::string& name : referenced) need(name);
  for (const auto& [name, target] : portmap) need(name);
  task.ports.assign(needed.begin(), needed.end());
}

void warn_of_ports(Reading& reading, const TaskDraft& task) {
  const auto known = [&](const std::string& name) {
    return (task.announce && task.announce->portmap.contains(name)) ||
           std::find(task.ports.begin(), task.ports.end(), name) != task.ports.end();
  };
  if (task.health_check && !task.health_check->shell_command && !known("health")) {
    reading.warn(task.place,
                 "the HTTP health check asks the port 'health', which the task does not have; name it in 'ports'");
  }
  if (task.lifecycle && !known(task.lifecycle->port)) {
    reading.warn(task.place, "'lifecycle' asks the port " + quoted(task.lifecycle->port) +
                                 ", which the task does not have; name it in 'ports'");
  }
  if (task.announce && !known(task.announce->primary_port)) {
    reading.warn(task.place, "'announce' has the primary port " + quoted(task.announce->primary_port) +
                                 ", which the task does not have; name it in 'ports'");
  }
}

void warn_of_network(Reading& reading, const TaskDraft& task) {
  if (task.sandbox.enforce_ports && task.sandbox.network != Network::kHost) {
    reading.warn(task.place,
                 "'enforce_ports' is about the host's network; in a network of its own a task may listen on "
                 "every port");
  }
}

void fill_in_limits(TaskDraft& task) {
  Limits& limits = task.sandbox.limits;
  if (task.resources) limits.cpu = task.resources->cpu, limits.memory = task.resources->ram;
  if (task.resources) task.sandbox.disk.bytes = task.resources->disk;
  if (limits.pids == 0) limits.pids = kDefaultPids;
}

}  // namespace

void check_task(Reading& reading, TaskDraft& task) {
  add_artifacts(task);
  check_names(reading, task);
  check_order_names(reading, task);
  check_graph(reading, task);
  gather_ports(reading.scope.ports(), task);
  warn_of_ports(reading, task);
  warn_of_network(reading, task);
  fill_in_limits(task);
  if (task.name.empty() && !task.processes.empty()) task.name = task.processes.front().name;
}

}  // namespace dewar
