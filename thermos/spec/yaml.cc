// The only place where yaml-cpp is used, and where its exceptions end. We take its events, not its node graph: that
// knows neither a limit of depth nor one of size before it is complete.
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <set>
#include <sstream>

#include "thermos/spec/node.h"

namespace dewar {
namespace {

/// Thrown through yaml-cpp to stop it; caught in parse_yaml().
struct Refused {
  Complaint complaint;
};

Place place_of(const YAML::Mark& mark) { return {mark.line + 1, mark.column + 1}; }

[[noreturn]] void refuse(const YAML::Mark& mark, std::string why) {
  throw Refused{{mark.line + 1, mark.column + 1, std::move(why)}};
}

class TreeBuilder final : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& mark) override {
    if (root_) refuse(mark, "a task file holds one document; this is the second");
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override { add(make(mark, Node::Kind::kNull, "?")); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    refuse(mark, "aliases ('*name') are not supported; use 'vars:' and {{references}}, or write it out");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t, const std::string& text) override {
    Node node = make(mark, Node::Kind::kText, tag);
    node.text = text;
    add(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    open(mark, Node::Kind::kList, tag);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t, YAML::EmitterStyle::value) override {
    open(mark, Node::Kind::kMap, tag);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapEnd() override { close(); }

  ParsedTree take() {
    if (!complaints_.empty()) root_.reset();
    return {std::move(root_), std::move(complaints_)};
  }

 private:
  struct Open {
    Node node;
    std::optional<Node> key;  // read, its value is still to come
    std::set<std::string> keys;
  };

  Node make(const YAML::Mark& mark, Node::Kind kind, const std::string& tag) {
    const bool is_text = tag == "tag:yaml.org,2002:str" && kind == Node::Kind::kText;
    if (!(tag.empty() || tag == "?" || tag == "!" || is_text)) {
      refuse(mark, "tags are not supported here, found '" + tag + "'");
    }
    if (++count_ > kMaxNodes) refuse(mark, "more than " + std::to_string(kMaxNodes) + " values");
    Node node;
    node.kind = kind;
    node.place = place_of(mark);
    return node;
  }

  void open(const YAML::Mark& mark, Node::Kind kind, const std::string& tag) {
    if (open_.size() >= kMaxDepth) refuse(mark, "nested deeper than " + std::to_string(kMaxDepth) + " levels");
    open_.push_back({make(mark, kind, tag), std::nullopt, {}});
  }

  void close() {
    Node node = std::move(open_.back().node);
    open_.pop_back();
    add(std::move(node));
  }

  void add(Node node) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = open_.back();
    if (parent.node.kind == Node::Kind::kList) {
      parent.node.items.push_back(std::move(node));
    } else if (!parent.key) {
      take_key(parent, std::move(node));
    } else {
      node.key = std::move(parent.key->text);
      node.key_place = parent.key->place;
      parent.node.items.push_back(std::move(node));
      parent.key.reset();
    }
  }

  void take_key(Open& parent, Node key) {
    if (key.kind != Node::Kind::kText) {
      const bool braces = key.kind == Node::Kind::kMap;
      complaints_.push_back(
          {key.place.line, key.place.column,
           braces ? "a key must be text; a text that begins with '{{' must stand in quotes" : "a key must be text"});
    } else if (!parent.keys.insert(key.text).second) {
      complaints_.push_back({key.place.line, key.place.column, "'" + key.text + "' stands twice in this map"});
    }
    parent.key = std::move(key);
  }

  std::vector<Open> open_;
  std::optional<Node> root_;
  std::vector<Complaint> complaints_;
  std::size_t count_ = 0;
};

/// yaml-cpp's words for a tab in the indentation do not name it, which is what people look for.
std::string explained(const std::string& text, const YAML::ParserException& error) {
  std::istringstream lines(text);
  std::string line;
  for (int i = 0; i <= error.mark.line && std::getline(lines, line); ++i) continue;
  const std::size_t first = line.find_first_not_of(" \t");
  const bool tab = line.find('\t') < (first == std::string::npos ? 0 : first);
  return "not YAML: " + error.msg + (tab ? " (the line is indented with a tab; YAML wants spaces)" : "");
}

}  // namespace

ParsedTree parse_yaml(const std::string& text) {
  TreeBuilder builder;
  const auto failed = [](Complaint complaint) { return ParsedTree{std::nullopt, {std::move(complaint)}}; };
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) continue;
  } catch (const Refused& refused) {
    return failed(refused.complaint);
  } catch (const YAML::ParserException& error) {
    const Place place = error.mark.is_null() ? Place{} : place_of(error.mark);
    return failed({place.line, place.column, explained(text, error)});
  } catch (const std::exception& error) {
    return failed({0, 0, std::string("not YAML: ") + error.what()});
  }
  return builder.take();
}

}  // namespace dewar
