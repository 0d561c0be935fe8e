#include "thermos/spec/task_fields.h"

#include "thermos/spec/names.h"

namespace dewar {
namespace {

/// Fills in the fields of `map` while it is the nearest one for {{references}}.
template <class T, std::size_t N>
void scoped_fields(Reading& reading, const Node& map, const Field<T> (&table)[N], T& out) {
  if (!reading.is_map(map)) return;
  reading.scope.enter(map);
  reading.fields(map, table, out);
  reading.scope.leave();
}

// logger -------------------------------------------------------------------------------------------------------------

constexpr Field<LogPolicy> kRotateFields[] = {
    {"log_size", [](Reading& r, const Node& n, LogPolicy& p) { r.bytes(n, p.log_size, 1); }},
    {"backups", whole_field<&LogPolicy::backups, 1, 10'000>},
    {"compress", truth_field<&LogPolicy::compress>},
};

constexpr Field<LogPolicy> kLoggerFields[] = {
    {"destination",
     [](Reading& r, const Node& n, LogPolicy& p) {
       r.choice(n, p.destination,
                {{"file", LogDestination::kFile},
                 {"console", LogDestination::kConsole},
                 {"both", LogDestination::kBoth},
                 {"none", LogDestination::kNone}});
     }},
    {"mode",
     [](Reading& r, const Node& n, LogPolicy& p) {
       r.choice(n, p.mode, {{"standard", LogMode::kStandard}, {"rotate", LogMode::kRotate}});
     }},
    {"rotate", [](Reading& r, const Node& n, LogPolicy& p) { r.fields(n, kRotateFields, p); }},
    {"rate_limit", [](Reading& r, const Node& n, LogPolicy& p) { r.bytes(n, p.rate_limit, 1); }},
    {"when_full",
     [](Reading& r, const Node& n, LogPolicy& p) {
       r.choice(n, p.when_full, {{"block", WhenFull::kBlock}, {"drop", WhenFull::kDrop}});
     }},
    {"journald", truth_field<&LogPolicy::journald>},
};

LogPolicy read_logger(Reading& reading, const Node& node) {
  LogPolicy policy;
  reading.fields(node, kLoggerFields, policy);
  if (const Node* rotate = node.find("rotate"); rotate && policy.mode != LogMode::kRotate) {
    reading.warn(rotate->key_place, "'rotate' has no effect without 'mode: rotate'");
  }
  return policy;
}

// processes ----------------------------------------------------------------------------------------------------------

void read_cmdline(Reading& reading, const Node& node, ProcessSpec& process) {
  if (!reading.text(node, process.cmdline)) return;
  const std::string problem = cmdline_problem(process.cmdline);
  if (!problem.empty()) reading.complain(node.place, "'cmdline' " + problem);
}

void read_process_name(Reading& reading, const Node& node, ProcessSpec& process) {
  if (!reading.text(node, process.name)) return;
  const std::string problem = process_name_problem(process.name);
  if (!problem.empty()) reading.complain(node.place, "process name " + quoted(process.name) + " " + problem);
}

constexpr Field<ProcessSpec> kProcessFields[] = {
    {"name", read_process_name},
    {"cmdline", read_cmdline},
    {"max_failures", whole_field<&ProcessSpec::max_failures>},
    {"fetch", [](Reading& r, const Node& n, ProcessSpec& p) { read_artifacts(r, n, p.fetch); }},
    {"daemon", truth_field<&ProcessSpec::daemon>},
    {"ephemeral", truth_field<&ProcessSpec::ephemeral>},
    {"min_duration", span_field<&ProcessSpec::min_duration>},
    {"time_limit", span_field<&ProcessSpec::time_limit>},
    {"final", truth_field<&ProcessSpec::final>},
    {"logger", [](Reading& r, const Node& n, ProcessSpec& p) { p.logger = read_logger(r, n); }},
    {"resources", unused_field},  // Thermos reserves it
};

void read_process(Reading& reading, const Node& node, TaskDraft& task) {
  task.has_processes = true;
  ProcessSpec process;
  scoped_fields(reading, node, kProcessFields, process);
  if (node.kind != Node::Kind::kMap) return;
  const Node* name = node.find("name");
  if (!name) reading.complain(node.place, "a process needs a 'name'");
  const Node* fetch = node.find("fetch");
  if (!node.find("cmdline") && !fetch) reading.complain(node.place, "a process needs a 'cmdline' or a 'fetch'");
  if (fetch && node.find("cmdline") && reading.strict())
    reading.complain(fetch->key_place, "a process has either a 'cmdline' or a 'fetch'");
  if (process.name.empty()) return;  // told
  task.process_places.push_back(name->place);
  task.processes.push_back(std::move(process));
}

void read_processes(Reading& reading, const Node& node, TaskDraft& task) {
  if (!reading.is_list(node)) return;
  for (const Node& item : node.items) read_process(reading, item, task);
}

// order --------------------------------------------------------------------------------------------------------------

void read_order(Reading& reading, const Node& node, TaskDraft& task) {
  if (!reading.is_list(node)) return;
  Order names;
  std::vector<Place> places;
  for (const Node& item : node.items) {
    std::string name;
    if (!reading.text(item, name)) continue;
    names.push_back(std::move(name));
    places.push_back(item.place);
  }
  task.constraints.push_back(std::move(names));
  task.order_places.push_back(std::move(places));
}

/// `order: [a, b]`, or a list of such lists.
void read_short_order(Reading& reading, const Node& node, TaskDraft& task) {
  const bool nested = !node.items.empty() && node.items.front().kind == Node::Kind::kList;
  if (!nested) return read_order(reading, node, task);
  for (const Node& item : node.items) read_order(reading, item, task);
}

constexpr Field<TaskDraft> kConstraintFields[] = {{"order", read_order}};

void read_constraints(Reading& reading, const Node& node, TaskDraft& task) {
  if (!reading.is_list(node)) return;
  for (const Node& item : node.items) reading.fields(item, kConstraintFields, task);
}

// resources and ports ------------------------------------------------------------------------------------------------

void read_ports(Reading& reading, const Node& node, TaskDraft& task) {
  if (!reading.is_list(node)) return;
  for (const Node& item : node.items) {
    std::string name;
    if (reading.text(item, name) && is_port_name(reading, item, name)) task.ports.push_back(std::move(name));
  }
}

constexpr std::uint64_t kMiB = 1u << 20;

/// Aurora's own JSON may hold what a person must not write: a zero means no limit.
template <auto M>
void amount(Reading& reading, const Node& node, Resources& out) {
  reading.bytes(node, out.*M, reading.strict() ? kMiB : 0);
}

struct ResourcesDraft : Resources {
  TaskDraft* task = nullptr;
};

constexpr Field<ResourcesDraft> kResourceFields[] = {
    {"cpu", [](Reading& r, const Node& n, ResourcesDraft& d) { r.number(n, d.cpu, r.strict() ? 0.001 : 0, 100'000); }},
    {"ram", [](Reading& r, const Node& n, ResourcesDraft& d) { amount<&Resources::ram>(r, n, d); }},
    {"disk", [](Reading& r, const Node& n, ResourcesDraft& d) { amount<&Resources::disk>(r, n, d); }},
    {"gpu", whole_field<&Resources::gpu>},
    {"ports", [](Reading& r, const Node& n, ResourcesDraft& d) { read_ports(r, n, *d.task); }},
};

void read_resources(Reading& reading, const Node& node, TaskDraft& task) {
  ResourcesDraft draft;
  draft.task = &task;
  reading.fields(node, kResourceFields, draft);
  task.resources = draft;
}

// tasks and jobs -----------------------------------------------------------------------------------------------------

void read_task_name(Reading& reading, const Node& node, TaskDraft& task) {
  if (!reading.text(node, task.name)) return;
  const std::string problem = title_problem(task.name);
  if (!problem.empty()) reading.complain(node.place, "task name " + quoted(task.name) + " " + problem);
}

/// Old blobs carry {{thermos.user}} here, which says nothing.
void read_user(Reading& reading, const Node& node, TaskDraft& task) {
  if (!reading.text(node, task.user)) return;
  if (task.user.find("{{") != std::string::npos) task.user.clear();
}

void read_vars(Reading& reading, const Node& node, TaskDraft&) {
  if (!reading.is_map(node)) return;
  for (const Node& item : node.items) {
    if (item.kind == Node::Kind::kMap) {
      TaskDraft none;
      read_vars(reading, item, none);
    } else if (item.kind == Node::Kind::kText) {
      reading.scope.text_of(item);
    } else {
      reading.wrong(item, "text or a map");
    }
  }
}

constexpr Field<TaskDraft> kTaskFields[] = {
    {"name", read_task_name},
    {"user", read_user},
    {"processes", read_processes},
    {"artifacts", [](Reading& r, const Node& n,
                     TaskDraft& t) { t.artifacts_place = n.key_place, read_artifacts(r, n, t.artifacts); }},
    {"constraints", read_constraints},
    {"order", read_short_order},
    {"resources", read_resources},
    {"ports", read_ports},
    {"max_failures", whole_field<&TaskSpec::max_failures>},
    {"max_concurrency", whole_field<&TaskSpec::max_concurrency>},
    {"finalization_wait", span_field<&TaskSpec::finalization_wait>},
    {"time_limit", span_field<&TaskSpec::time_limit>},
    {"logger", [](Reading& r, const Node& n, TaskDraft& t) { t.logger = read_logger(r, n); }},
    {"sandbox", [](Reading& r, const Node& n, TaskDraft& t) { read_sandbox(r, n, t.sandbox); }},
    {"health_check_config", read_health_check},
    {"lifecycle", read_lifecycle},
    {"announce", read_announce},
    {"vars", [](Reading&, const Node&, TaskDraft&) {}},  // read before everything else
};

/// A part of a job's key.
template <auto M>
void key_field(Reading& reading, const Node& node, TaskDraft& task) {
  if (!reading.text(node, task.*M)) return;
  if (!is_key_part(task.*M)) reading.wrong(node, "made of letters, digits, '_', '-' and '.'");
}

constexpr Field<TaskDraft> kJobFields[] = {
    {"name", key_field<&TaskSpec::job>},
    {"role", key_field<&TaskSpec::role>},
    {"environment", key_field<&TaskSpec::environment>},
    {"cluster", text_field<&TaskSpec::cluster>},
    {"instance", whole_field<&TaskSpec::instance>},
    {"task", [](Reading& r, const Node& n, TaskDraft& t) { scoped_fields(r, n, kTaskFields, t); }},
    {"announce", read_announce},
    {"health_check_config", read_health_check},
    {"lifecycle", read_lifecycle},
    {"ports", read_ports},
    {"sandbox", [](Reading& r, const Node& n, TaskDraft& t) { read_sandbox(r, n, t.sandbox); }},
    {"vars", [](Reading&, const Node&, TaskDraft&) {}},
    // What the scheduler reads.
    {"contact", unused_field},
    {"instances", unused_field},
    {"service", unused_field},
    {"tier", unused_field},
    {"priority", unused_field},
    {"production", unused_field},
    {"constraints", unused_field},
    {"metadata", unused_field},
    {"max_task_failures", unused_field},
    {"update_config", unused_field},
    {"cron_schedule", unused_field},
    {"cron_collision_policy", unused_field},
    {"task_links", unused_field},
    {"executor_config", unused_field},
    {"enable_hooks", unused_field},
    {"partition_policy", unused_field},
    {"sla_policy", unused_field},
    {"container", unused_field},
};

}  // namespace

void read_root(Reading& reading, const Node& root, TaskDraft& task) {
  if (root.kind != Node::Kind::kMap) {
    reading.complain(root.place, "a task file is a map with 'name' and 'processes'");
    return;
  }
  task.place = root.place;
  const Node* job = root.find("task") ? &root : nullptr;
  const Node* vars = root.find("vars");
  if (!vars && job) vars = root.find("task")->find("vars");
  if (vars) {
    if (vars->kind == Node::Kind::kMap) reading.scope.enter(*vars);
    read_vars(reading, *vars, task);
    for (const char* name : {"thermos", "mesos"}) {
      if (const Node* reserved = vars->find(name)) {
        reading.complain(reserved->key_place, label(*reserved) + " is filled in on the host and cannot be a variable");
      }
    }
  }
  if (job) {
    scoped_fields(reading, root, kJobFields, task);
    if (task.name.empty()) task.name = task.job;
    if (!task.role.empty()) task.user = task.role;
  } else {
    scoped_fields(reading, root, kTaskFields, task);
  }
  if (vars && vars->kind == Node::Kind::kMap) reading.scope.leave();
}

}  // namespace dewar
