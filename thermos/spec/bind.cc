#include "thermos/spec/bind.h"

#include <algorithm>
#include <set>

#include "thermos/spec/names.h"
#include "thermos/spec/portmap.h"
#include "thermos/spec/template.h"

namespace dewar {
namespace {

class Binder {
 public:
  Binder(const TaskSpec& spec, const Bindings& bindings)
      : bindings_(bindings), ports_(resolved_ports(spec, bindings.ports)) {}

  void fill_in(std::string& text) {
    if (text.find("{{") == std::string::npos) return;
    Expansion result = expand(
        text, [this](const std::string& reference) { return meaning_of(reference); }, budget_);
    problems_.insert(result.problems.begin(), result.problems.end());
    text = unescape(result.text);
  }
  void complain(std::string words) { problems_.insert(std::move(words)); }
  std::string problems() const {
    std::string all;
    for (const std::string& words : problems_) all += (all.empty() ? "" : "; ") + words;
    return all;
  }

 private:
  Meaning meaning_of(const std::string& reference) {
    if (reference == "thermos.task_id") return means(bindings_.task_id);
    if (reference == "thermos.user") return means(bindings_.user);
    if (reference == "mesos.hostname") return means(bindings_.hostname);
    if (reference == "mesos.instance") return means(std::to_string(bindings_.instance));
    const std::vector<std::string> parts = split_reference(reference);
    if (parts.size() == 3 && parts[0] == "thermos" && parts[1] == "ports") {
      if (const auto port = ports_.find(parts[2]); port != ports_.end()) return means(std::to_string(port->second));
    }
    return means_nothing("'{{" + reference + "}}' has no value here");
  }

  const Bindings& bindings_;
  std::map<std::string, std::int64_t> ports_;
  std::set<std::string> problems_;
  std::size_t budget_ = kExpansionBudget;
};

void fill_in(Artifact& artifact, Binder& binder) {
  binder.fill_in(artifact.uri), binder.fill_in(artifact.output_file), binder.fill_in(artifact.into);
  for (std::string& mirror : artifact.mirrors) binder.fill_in(mirror);
  for (auto& [name, value] : artifact.headers) binder.fill_in(value);
}

void check_artifact(const std::string& process, const Artifact& artifact, Binder& binder) {
  std::vector<std::string> uris = artifact.mirrors;
  uris.push_back(artifact.uri);
  for (const std::string& uri : uris) {
    const std::string problem = uri_problem(uri);
    if (!problem.empty())
      binder.complain("the URI '" + uri.substr(0, uri.find('?')) + "' of '" + process + "' " + problem);
  }
  for (const std::string& path : {artifact.output_file, artifact.into}) {
    if (!path.empty() && !is_inner_path(path))
      binder.complain("'" + path + "' of '" + process + "' is no path in the sandbox");
  }
}

/// What was checked on reading may look different with the host's values in it.
void check_again(const TaskSpec& spec, Binder& binder) {
  std::set<std::string_view> names;
  for (const ProcessSpec& process : spec.processes) {
    const std::string name_problem = process_name_problem(process.name);
    if (!name_problem.empty()) binder.complain("process name '" + process.name + "' " + name_problem);
    if (!names.insert(process.name).second) binder.complain("two processes are named '" + process.name + "'");
    for (const Artifact& artifact : process.fetch) check_artifact(process.name, artifact, binder);
    const std::string problem = process.fetch.empty() ? cmdline_problem(process.cmdline) : "";
    if (!problem.empty()) binder.complain("the cmdline of '" + process.name + "' " + problem);
  }
}

}  // namespace

std::map<std::string, std::int64_t> resolved_ports(const TaskSpec& spec, std::map<std::string, std::int64_t> ports) {
  if (!spec.announce) return ports;
  for (const auto& [name, target] : spec.announce->portmap) {
    if (const auto number = port_number(target)) {
      ports[name] = *number;
    } else if (const auto given = ports.find(target); given != ports.end()) {
      ports[name] = given->second;
    }
  }
  return ports;
}

Result<TaskSpec> bind(const TaskSpec& spec, const Bindings& bindings) {
  TaskSpec bound = spec;
  Binder binder(spec, bindings);
  binder.fill_in(bound.name);
  for (ProcessSpec& process : bound.processes) {
    binder.fill_in(process.name), binder.fill_in(process.cmdline);
    for (Artifact& artifact : process.fetch) fill_in(artifact, binder);
  }
  for (Order& order : bound.constraints) {
    for (std::string& name : order) binder.fill_in(name);
  }
  for (auto& [name, value] : bound.sandbox.environment) binder.fill_in(value);
  if (bound.health_check) {
    binder.fill_in(bound.health_check->http.endpoint);
    binder.fill_in(bound.health_check->http.expected_response);
    if (bound.health_check->shell_command) binder.fill_in(*bound.health_check->shell_command);
  }
  if (bound.lifecycle) {
    binder.fill_in(bound.lifecycle->graceful_shutdown_endpoint);
    binder.fill_in(bound.lifecycle->shutdown_endpoint);
  }
  check_again(bound, binder);
  if (std::string problems = binder.problems(); !problems.empty()) return fail(std::move(problems));
  return bound;
}

}  // namespace dewar
