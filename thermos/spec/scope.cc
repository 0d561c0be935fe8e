#include "thermos/spec/scope.h"

#include <algorithm>
#include <numeric>

namespace dewar {
namespace {

constexpr std::size_t kMaxPath = 100;  // references that lead from one text to the next
constexpr const char* kRuntimeNames =
    "known on the host are thermos.ports[NAME], thermos.task_id, thermos.user, mesos.instance and mesos.hostname";

/// Levenshtein's distance, where two neighbours that changed places count once.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  std::iota(last.begin(), last.end(), 0u);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(last), last.swap(row);
  }
  return last[b.size()];
}

void collect_names(const Node& map, const std::string& prefix, std::vector<std::string>& names) {
  for (const Node& item : map.items) {
    if (names.size() >= 200) return;  // enough to guess from
    if (item.kind == Node::Kind::kText) names.push_back(prefix + item.key);
    if (item.kind == Node::Kind::kMap) collect_names(item, prefix + item.key + ".", names);
  }
}

const Node* walk(const Node& map, const std::vector<std::string>& parts) {
  const Node* at = &map;
  for (const std::string& part : parts) {
    at = at->find(part);
    if (!at) return nullptr;
  }
  return at;
}

}  // namespace

bool is_runtime_reference(const std::vector<std::string>& parts) {
  if (parts.size() == 3) return parts[0] == "thermos" && parts[1] == "ports";
  if (parts.size() != 2) return false;
  return (parts[0] == "thermos" && (parts[1] == "task_id" || parts[1] == "user")) ||
         (parts[0] == "mesos" && (parts[1] == "instance" || parts[1] == "hostname"));
}

std::string Scope::guess(std::string_view word, const std::vector<std::string>& candidates) {
  constexpr std::size_t kLongest = 64;
  if (word.size() > kLongest || guesses_left_ == 0) return {};
  --guesses_left_;
  const std::string* best = nullptr;
  std::size_t best_distance = 1 + std::max<std::size_t>(1, word.size() / 3);
  for (const std::string& candidate : candidates) {
    if (candidate.size() > kLongest) continue;
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < best_distance && distance < candidate.size()) best = &candidate, best_distance = distance;
  }
  return best ? "; did you mean '" + *best + "'?" : "";
}

const std::string* Scope::filled_in(const Node& node, std::size_t depth, const std::string& name) {
  const auto [entry, is_new] = known_.try_emplace(&node);
  Known& known = entry->second;
  if (known.active) {
    complain_(node.place, cycle(node, name));
    return nullptr;
  }
  if (!is_new) return known.text ? &*known.text : nullptr;
  if (path_.size() >= kMaxPath) {
    complain_(node.place, "references lead through more than " + std::to_string(kMaxPath) + " texts");
    return nullptr;
  }
  known.active = true;
  path_.emplace_back(&node, name);
  Expansion result = expand(
      node.text, [&](const std::string& reference) { return meaning_of(reference, depth); }, budget_);
  path_.pop_back();
  known.active = false;
  std::sort(result.problems.begin(), result.problems.end());
  result.problems.erase(std::unique(result.problems.begin(), result.problems.end()), result.problems.end());
  for (std::string& problem : result.problems) complain_(node.place, std::move(problem));
  if (!result.ok) return nullptr;
  return &known.text.emplace(std::move(result.text));
}

Meaning Scope::meaning_of(const std::string& reference, std::size_t depth) {
  const std::vector<std::string> parts = split_reference(reference);
  if (is_runtime_reference(parts)) {
    if (parts.size() == 3) ports_.insert(parts[2]);
    return means_later();
  }
  for (std::size_t level = depth; level > 0; --level) {
    const Node* found = walk(*maps_[level - 1], parts);
    if (!found) continue;
    if (found->kind != Node::Kind::kText) {
      const char* kind = found->kind == Node::Kind::kMap ? "a map" : "a list";
      return means_nothing("'{{" + reference + "}}' stands for " + kind + ", not for a text");
    }
    const std::string* text = filled_in(*found, level, reference);
    return text ? means(*text) : means_nothing({});
  }
  return means_nothing(unknown(reference));
}

std::string Scope::unknown(const std::string& reference) {
  std::string words = "nothing is known as '{{" + reference + "}}'";
  if (reference.starts_with("thermos.") || reference.starts_with("mesos.")) return words + "; " + kRuntimeNames;
  if (guesses_left_ == 0) return words;
  std::vector<std::string> names{"thermos.task_id", "thermos.user", "mesos.instance", "mesos.hostname"};
  for (const Node* map : maps_) collect_names(*map, "", names);
  return words + guess(reference, names);
}

std::string Scope::cycle(const Node& node, const std::string& name) const {
  std::string words = "references go round in a circle: " + name;
  auto at = std::find_if(path_.begin(), path_.end(), [&](const auto& step) { return step.first == &node; });
  for (++at; at != path_.end(); ++at) words += " -> " + at->second;
  return words + " -> " + name;
}

}  // namespace dewar
