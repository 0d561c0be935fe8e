#include "thermos/plan.h"

#include <algorithm>
#include <set>

namespace dewar {
namespace {

Failure invalid(const std::string& words) { return fail(std::errc::invalid_argument, words); }

using Specs = std::map<std::string, const ProcessSpec*>;

Result<void> check_edge(const Specs& specs, const std::string& before, const std::string& after) {
  for (const std::string& name : {before, after})
    if (!specs.contains(name)) return invalid("the order names '" + name + "', which is no process");
  const ProcessSpec &first = *specs.at(before), &second = *specs.at(after);
  const std::string edge = "'" + after + "' cannot wait for '" + before + "': ";
  if (first.final != second.final) return invalid(edge + "one of them is final, the other is not");
  if (first.daemon) return invalid(edge + "a daemon never finishes");
  if (first.ephemeral && !second.ephemeral) return invalid(edge + "the task does not wait for an ephemeral process");
  return {};
}

/// Takes away again and again what waits for nothing; what cannot be taken away lies on a circle or behind one.
Result<void> check_circles(std::map<std::string, std::set<std::string>> waits) {
  for (bool taken = true; taken;) {
    taken = false;
    for (auto it = waits.begin(); it != waits.end();) {
      std::erase_if(it->second, [&](const std::string& name) { return !waits.contains(name); });
      const bool free = it->second.empty();
      taken = taken || free;
      it = free ? waits.erase(it) : std::next(it);
    }
  }
  if (waits.empty()) return {};
  std::string names;
  for (const auto& [name, others] : waits) names += (names.empty() ? "'" : ", '") + name + "'";
  return invalid("the order runs in a circle: " + names);
}

}  // namespace

Result<void> check_plan(const TaskPlan& task) {
  Specs specs;
  std::map<std::string, std::set<std::string>> waits;
  for (const ProcessSpec& spec : task.processes) {
    if (!specs.emplace(spec.name, &spec).second) return invalid("two processes are named '" + spec.name + "'");
    waits[spec.name];
  }
  for (const Order& order : task.constraints) {
    if (order.size() == 1 && !specs.contains(order[0])) return check_edge(specs, order[0], order[0]);
    for (std::size_t i = 1; i < order.size(); ++i) {
      DEWAR_TRY(check_edge(specs, order[i - 1], order[i]));
      waits[order[i]].insert(order[i - 1]);
    }
  }
  return check_circles(std::move(waits));
}

Plan::Plan(const TaskPlan& task, bool final) {
  for (const ProcessSpec& spec : task.processes) {
    if (spec.final != final) continue;
    index_[spec.name] = nodes_.size();
    nodes_.push_back({&spec, {}});
  }
  for (const Order& order : task.constraints) {
    for (std::size_t i = 1; i < order.size(); ++i)
      if (Node* node = find(order[i])) node->after.push_back(index_.at(order[i - 1]));
  }
}

Plan::Node* Plan::find(const std::string& process) {
  const auto found = index_.find(process);
  return found == index_.end() ? nullptr : &nodes_[found->second];
}

Result<void> Plan::restore(const std::string& process, const std::vector<RunHistory>& runs, Time now) {
  Node* node = find(process);
  if (!node) return invalid("there is no process '" + process + "'");
  for (const RunHistory& run : runs) {
    if (node->standing != Standing::kPending) return invalid("'" + process + "' has run after it was done");
    if (run.state == ProcessState::kWaiting) {
      node->ready_at = now;
    } else {
      node->standing = Standing::kRunning;
      if (is_terminal(run.state)) DEWAR_TRY(end(process, run.state, now));
    }
  }
  return {};
}

Result<void> Plan::check_order() const {
  for (const Node& node : nodes_) {
    const bool untouched = node.standing == Standing::kPending && node.successes + node.failures + node.losses == 0;
    if (!untouched && !runnable(node)) return invalid("'" + node.spec->name + "' has run before its turn");
  }
  return {};
}

bool Plan::runnable(const Node& node) const {
  return std::ranges::all_of(node.after, [&](std::size_t i) { return nodes_[i].standing == Standing::kFinished; });
}

std::vector<std::string> Plan::ready(Time now) const {
  std::vector<std::string> out;
  for (const Node& node : nodes_) {
    if (node.standing == Standing::kPending && node.ready_at <= now && runnable(node)) out.push_back(node.spec->name);
  }
  return out;
}

std::optional<Time> Plan::next_ready(Time now) const {
  std::optional<Time> next;
  for (const Node& node : nodes_) {
    if (node.standing != Standing::kPending || node.ready_at <= now || !runnable(node)) continue;
    if (!next || node.ready_at < *next) next = node.ready_at;
  }
  return next;
}

Result<void> Plan::start(const std::string& process) {
  Node* node = find(process);
  if (!node) return invalid("there is no process '" + process + "'");
  if (node->standing != Standing::kPending) return invalid("'" + process + "' is running or done");
  if (!runnable(*node)) return invalid("'" + process + "' waits for others");
  node->standing = Standing::kRunning;
  return {};
}

Result<void> Plan::end(const std::string& process, ProcessState how, Time now) {
  Node* node = find(process);
  if (!node || node->standing != Standing::kRunning) return invalid("'" + process + "' is not running");
  if (how == ProcessState::kSuccess) {
    ++node->successes;
  } else if (how == ProcessState::kFailed) {
    ++node->failures;
  } else {
    ++node->losses;
  }
  node->standing = after_end(*node, how);
  node->ready_at = now + node->spec->min_duration;
  return {};
}

Plan::Standing Plan::after_end(const Node& node, ProcessState how) {
  const Standing exhausted = node.spec->ephemeral ? Standing::kFinished : Standing::kFailed;
  if (node.successes + node.failures + node.losses >= kMaxRuns) return exhausted;
  if (how == ProcessState::kSuccess) return node.spec->daemon ? Standing::kPending : Standing::kFinished;
  const bool may_fail_again = node.spec->max_failures == 0 || node.failures < node.spec->max_failures;
  return how != ProcessState::kFailed || may_fail_again ? Standing::kPending : exhausted;
}

std::vector<std::string> Plan::names(Standing standing) const {
  std::vector<std::string> out;
  for (const Node& node : nodes_)
    if (node.standing == standing) out.push_back(node.spec->name);
  return out;
}

std::size_t Plan::running() const { return names(Standing::kRunning).size(); }
std::vector<std::string> Plan::failed() const { return names(Standing::kFailed); }
std::vector<std::string> Plan::finished() const { return names(Standing::kFinished); }

bool Plan::complete() const {
  return std::ranges::all_of(nodes_, [](const Node& node) {
    return node.spec->ephemeral || node.standing == Standing::kFinished || node.standing == Standing::kFailed;
  });
}

bool Plan::deadlocked() const {
  return !complete() && std::ranges::none_of(nodes_, [this](const Node& node) {
    return node.standing == Standing::kRunning || (node.standing == Standing::kPending && runnable(node));
  });
}

}  // namespace dewar
