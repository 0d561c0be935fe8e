#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "thermos/spec/node.h"
#include "thermos/spec/template.h"

namespace dewar {

/// A name that Thermos fills in on the host: thermos.ports[x], thermos.task_id, thermos.user, mesos.instance,
/// mesos.hostname.
bool is_runtime_reference(const std::vector<std::string>& parts);

/// What references in a file can mean: its `vars:`, and the fields of the maps around the text, the nearest first. A
/// text is filled in once, where it stands, in the maps around *it*.
class Scope {
 public:
  /// Told each problem with the place of the text that has it.
  using Complain = std::function<void(Place, std::string)>;
  explicit Scope(Complain complain) : complain_(std::move(complain)) {}

  /// Adds a map within the others, until leave().
  void enter(const Node& map) { maps_.push_back(&map); }
  void leave() { maps_.pop_back(); }

  /// A kText's text with its references filled in; null if that fails, which has then been told.
  const std::string* text_of(const Node& node) { return filled_in(node, maps_.size(), "this text"); }

  /// "; did you mean 'max_failures'?" for the candidate that is close to `word`; empty if none is, or when a file has
  /// so much wrong with it that guesses would cost more than they help.
  std::string guess(std::string_view word, const std::vector<std::string>& candidates);

  /// Names of every thermos.ports[x] seen so far.
  const std::set<std::string>& ports() const { return ports_; }

 private:
  struct Known {
    bool active = false;  // being filled in: to meet it again is a cycle
    std::optional<std::string> text;
  };

  const std::string* filled_in(const Node& node, std::size_t depth, const std::string& name);
  Meaning meaning_of(const std::string& reference, std::size_t depth);
  std::string unknown(const std::string& reference);
  std::string cycle(const Node& node, const std::string& name) const;

  Complain complain_;
  std::vector<const Node*> maps_;
  std::map<const Node*, Known> known_;
  std::vector<std::pair<const Node*, std::string>> path_;  // the texts being filled in, with their names
  std::set<std::string> ports_;
  int guesses_left_ = 200;
  std::size_t budget_ = kExpansionBudget;
};

}  // namespace dewar
