// Health checks, lifecycle and announcement: read and checked here, acted on by others.
#include <algorithm>
#include <charconv>

#include "thermos/spec/portmap.h"
#include "thermos/spec/task_fields.h"

namespace dewar {
namespace {

void read_path(Reading& reading, const Node& node, std::string& out) {
  if (reading.text(node, out) && !out.starts_with('/')) reading.wrong(node, "a path that begins with '/'");
}

template <auto M, class T>
void path_field(Reading& reading, const Node& node, T& out) {
  read_path(reading, node, out.*M);
}

constexpr Field<HttpCheck> kHttpCheckFields[] = {
    {"endpoint", path_field<&HttpCheck::endpoint>},
    {"expected_response", text_field<&HttpCheck::expected_response>},
    {"expected_response_code", whole_field<&HttpCheck::expected_response_code, 0, 599>},
};

void read_shell_command(Reading& reading, const Node& node, HealthCheck& check) {
  std::string command;
  if (!reading.text(node, command)) return;
  if (command.empty()) reading.wrong(node, "a command");
  check.shell_command = std::move(command);
}

constexpr Field<HealthCheck> kShellFields[] = {{"shell_command", read_shell_command}};

constexpr Field<HealthCheck> kCheckerFields[] = {
    {"http", [](Reading& r, const Node& n, HealthCheck& c) { r.fields(n, kHttpCheckFields, c.http); }},
    {"shell",
     [](Reading& r, const Node& n, HealthCheck& c) {
       r.fields(n, kShellFields, c);
       if (n.kind == Node::Kind::kMap && !n.find("shell_command"))
         r.complain(n.place, "'shell' needs a 'shell_command'");
     }},
};

constexpr Duration kTick = std::chrono::nanoseconds(1);

constexpr Field<HealthCheck> kHealthFields[] = {
    {"health_checker", [](Reading& r, const Node& n, HealthCheck& c) { r.fields(n, kCheckerFields, c); }},
    {"initial_interval_secs", span_field<&HealthCheck::initial_interval>},
    {"interval_secs", [](Reading& r, const Node& n, HealthCheck& c) { r.span(n, c.interval, kTick); }},
    {"timeout_secs", [](Reading& r, const Node& n, HealthCheck& c) { r.span(n, c.timeout, kTick); }},
    {"max_consecutive_failures", whole_field<&HealthCheck::max_consecutive_failures>},
    {"min_consecutive_successes", whole_field<&HealthCheck::min_consecutive_successes>},
};

constexpr Field<HttpLifecycle> kHttpLifecycleFields[] = {
    {"port", text_field<&HttpLifecycle::port>},
    {"graceful_shutdown_endpoint", path_field<&HttpLifecycle::graceful_shutdown_endpoint>},
    {"shutdown_endpoint", path_field<&HttpLifecycle::shutdown_endpoint>},
    {"graceful_shutdown_wait_secs", span_field<&HttpLifecycle::graceful_shutdown_wait>},
    {"shutdown_wait_secs", span_field<&HttpLifecycle::shutdown_wait>},
};

constexpr Field<TaskDraft> kLifecycleFields[] = {
    {"http", [](Reading& r, const Node& n, TaskDraft& t) { r.fields(n, kHttpLifecycleFields, t.lifecycle.emplace()); }},
};

void read_portmap(Reading& reading, const Node& node, Announce& announce) {
  if (!reading.is_map(node)) return;
  announce.portmap.clear();
  for (const Node& item : node.items) {
    std::string target;
    if (!is_port_name(reading, item, item.key) || !reading.text(item, target)) continue;
    const bool is_number = target.find_first_not_of("0123456789") == std::string::npos;
    if (is_number && !port_number(target)) {
      reading.wrong(item, "the name of a port, or a number from 1 to 65535");
    } else if (is_number || is_port_name(reading, item, target)) {
      announce.portmap[item.key] = target;
    }
  }
  for (const std::string& cycle : resolve_portmap(announce.portmap)) {
    reading.complain(node.place, "ports stand for each other in a circle: " + cycle);
  }
}

constexpr Field<Announce> kAnnounceFields[] = {
    {"primary_port", text_field<&Announce::primary_port>},
    {"portmap", read_portmap},
    {"zk_path", path_field<&Announce::zk_path>},
};

}  // namespace

bool is_port_name(Reading& reading, const Node& node, const std::string& name) {
  const bool ok = !name.empty() && name.size() <= 200 && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) || c == '_' || c == '-' || c == '.' || c == '/';
  });
  if (!ok) {
    reading.complain(node.place,
                     quoted(name) + " is no name for a port; letters, digits, '_', '-', '.' and '/' may be in it");
  } else if (name.find_first_not_of("0123456789") == std::string::npos) {
    reading.complain(node.place,
                     quoted(name) + " is a number, not a port's name; which number a name gets is told on starting");
    return false;
  }
  return ok;
}

void read_health_check(Reading& reading, const Node& node, TaskDraft& out) {
  reading.fields(node, kHealthFields, out.health_check.emplace());
}

void read_lifecycle(Reading& reading, const Node& node, TaskDraft& out) { reading.fields(node, kLifecycleFields, out); }

void read_announce(Reading& reading, const Node& node, TaskDraft& out) {
  Announce announce;
  reading.fields(node, kAnnounceFields, announce);
  // Without a portmap, "aurora" is another name of the primary port.
  if (node.kind == Node::Kind::kMap && !node.find("portmap")) announce.portmap = {{"aurora", announce.primary_port}};
  out.announce = std::move(announce);
}

}  // namespace dewar
