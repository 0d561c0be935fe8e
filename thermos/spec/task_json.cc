#include "base/encoding.h"
#include "base/json_writer.h"
#include "thermos/spec/bind.h"
#include "thermos/spec/task_fields.h"

namespace dewar {
namespace {

/// Whole seconds as Thermos's Integer; what a person wrote in finer steps with its fraction.
void write_span(JsonWriter& json, std::string_view key, Duration span) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(span);
  if (seconds == span) {
    json.field(key, std::int64_t{seconds.count()});
  } else {
    json.field(key, std::chrono::duration<double>(span).count());
  }
}

void write_logger(JsonWriter& json, const LogPolicy& policy) {
  constexpr const char* kDestinations[] = {"file", "console", "both", "none"};
  json.key("logger").begin_object();
  json.field("destination", kDestinations[static_cast<int>(policy.destination)]);
  json.field("mode", policy.mode == LogMode::kRotate ? "rotate" : "standard");
  if (policy.mode == LogMode::kRotate) {
    json.key("rotate").begin_object();
    json.field("log_size", policy.log_size).field("backups", policy.backups);
    if (!policy.compress) json.field("compress", false);
    json.end_object();
  }
  if (policy.rate_limit > 0) json.field("rate_limit", policy.rate_limit);
  if (policy.when_full == WhenFull::kDrop) json.field("when_full", "drop");
  if (policy.journald) json.field("journald", true);
  json.end_object();
}

void write_texts(JsonWriter& json, std::string_view key, const std::vector<std::string>& texts) {
  json.key(key).begin_array();
  for (const std::string& text : texts) json.value(text);
  json.end_array();
}

/// What differs from the default.
void write_artifact(JsonWriter& json, const Artifact& artifact) {
  const Artifact usual;
  const auto text = [&](std::string_view key, const std::string& value) {
    if (!value.empty()) json.field(key, value);
  };
  json.begin_object().field("uri", artifact.uri);
  if (!artifact.mirrors.empty()) write_texts(json, "mirrors", artifact.mirrors);
  text("sha256", artifact.sha256), text("sha512", artifact.sha512);
  text("output_file", artifact.output_file), text("into", artifact.into);
  if (artifact.extract != usual.extract) json.field("extract", artifact.extract == Unpack::kAlways);
  if (artifact.executable) json.field("executable", true);
  if (artifact.cache != usual.cache) json.field("cache", artifact.cache == CacheUse::kYes);
  if (!artifact.headers.empty()) {
    json.key("headers").begin_object();
    for (const auto& [name, value] : artifact.headers) json.field(name, value);
    json.end_object();
  }
  text("credential", artifact.credential);
  if (artifact.timeout != usual.timeout) write_span(json, "timeout", artifact.timeout);
  if (artifact.max_size != usual.max_size) json.field("max_size", artifact.max_size);
  json.end_object();
}

/// Thermos's own tools want a command line in every process; of one that fetches they show this.
std::string shown_cmdline(const ProcessSpec& process) {
  if (process.fetch.empty()) return process.cmdline;
  std::string words = "dewar-fetch";
  for (const Artifact& artifact : process.fetch) {
    const std::size_t query = artifact.uri.find('?'), at = artifact.uri.find('@');
    words += " " + (at < query ? "artifact" : artifact.uri.substr(0, query));
  }
  return words;
}

void write_process(JsonWriter& json, const ProcessSpec& process) {
  json.begin_object();
  json.field("cmdline", shown_cmdline(process)).field("name", process.name).field("max_failures", process.max_failures);
  json.field("daemon", process.daemon).field("ephemeral", process.ephemeral);
  write_span(json, "min_duration", process.min_duration);
  json.field("final", process.final);
  if (process.time_limit > Duration{}) write_span(json, "time_limit", process.time_limit);
  if (process.logger) write_logger(json, *process.logger);
  if (!process.fetch.empty()) {
    json.key("fetch").begin_array();
    for (const Artifact& artifact : process.fetch) write_artifact(json, artifact);
    json.end_array();
  }
  json.end_object();
}

void write_health_check(JsonWriter& json, const HealthCheck& check) {
  json.key("health_check_config").begin_object().key("health_checker").begin_object();
  if (check.shell_command) {
    json.key("shell").begin_object().field("shell_command", *check.shell_command).end_object();
  } else {
    json.key("http").begin_object().field("endpoint", check.http.endpoint);
    json.field("expected_response", check.http.expected_response);
    json.field("expected_response_code", check.http.expected_response_code).end_object();
  }
  json.end_object();
  write_span(json, "initial_interval_secs", check.initial_interval);
  write_span(json, "interval_secs", check.interval);
  json.field("max_consecutive_failures", check.max_consecutive_failures);
  json.field("min_consecutive_successes", check.min_consecutive_successes);
  write_span(json, "timeout_secs", check.timeout);
  json.end_object();
}

void write_lifecycle(JsonWriter& json, const HttpLifecycle& http) {
  json.key("lifecycle").begin_object().key("http").begin_object().field("port", http.port);
  json.field("graceful_shutdown_endpoint", http.graceful_shutdown_endpoint);
  json.field("shutdown_endpoint", http.shutdown_endpoint);
  write_span(json, "graceful_shutdown_wait_secs", http.graceful_shutdown_wait);
  write_span(json, "shutdown_wait_secs", http.shutdown_wait);
  json.end_object().end_object();
}

void write_announce(JsonWriter& json, const Announce& announce) {
  json.key("announce").begin_object().field("primary_port", announce.primary_port).key("portmap").begin_object();
  for (const auto& [name, target] : announce.portmap) json.field(name, target);
  json.end_object();
  if (!announce.zk_path.empty()) json.field("zk_path", announce.zk_path);
  json.end_object();
}

void write_file_systems(JsonWriter& json, const SandboxSpec& sandbox) {
  std::vector<std::string> binds;
  for (const Bind& bind : sandbox.binds) binds.push_back(bind.source + ":" + bind.target);
  if (!binds.empty()) write_texts(json, "binds", binds);
  if (sandbox.tmpfs.empty()) return;
  json.key("tmpfs").begin_object();
  for (const Tmpfs& fs : sandbox.tmpfs) {
    json.key(fs.target).begin_object();
    if (fs.size > 0) json.field("size", fs.size);
    if (fs.inodes > 0) json.field("inodes", fs.inodes);
    json.end_object();
  }
  json.end_object();
}

void write_rlimits(JsonWriter& json, const std::vector<Rlimit>& limits) {
  const auto write = [&](std::uint64_t limit) {
    if (limit == ~std::uint64_t{0}) {
      json.value("unlimited");
    } else {
      json.value(limit);
    }
  };
  json.key("rlimits").begin_object();
  for (const Rlimit& limit : limits) {
    json.key(rlimit_name(limit.resource)).begin_array();
    write(limit.soft), write(limit.hard);
    json.end_array();
  }
  json.end_object();
}

void write_root(JsonWriter& json, const RootImage& root) {
  json.key("root").begin_object().field("path", root.path);
  if (!root.tag.empty()) json.field("tag", root.tag);
  if (root.writable) json.field("writable", true);
  json.end_object();
}

/// Limits of its cgroup that Thermos does not know.
void write_limits(JsonWriter& json, const Limits& limits) {
  json.field("pids", limits.pids);
  const auto number = [&](std::string_view key, const auto& value) {
    if (value > 0) json.field(key, value);
  };
  number("cpu_quota", limits.cpu_quota), number("swap", limits.swap), number("memory_soft", limits.memory_soft);
  if (!limits.cpuset.empty()) json.field("cpuset", limits.cpuset);
  if (const IoLimits& io = limits.io; io.weight + io.read_bps + io.write_bps + io.read_iops + io.write_iops > 0) {
    json.key("io").begin_object();
    number("weight", io.weight), number("read_bps", io.read_bps), number("write_bps", io.write_bps);
    number("read_iops", io.read_iops), number("write_iops", io.write_iops);
    json.end_object();
  }
  if (limits.hugetlb.empty()) return;
  json.key("hugetlb").begin_object();
  for (const auto& [page, bytes] : limits.hugetlb) json.field(page, bytes);
  json.end_object();
}

void write_walls(JsonWriter& json, const SandboxSpec& sandbox) {
  if (!sandbox.keep_capabilities.empty()) write_texts(json, "capabilities", sandbox.keep_capabilities);
  if (sandbox.seccomp != "default") json.field("seccomp", sandbox.seccomp);
  std::vector<std::string> devices;
  for (const DeviceRule& rule : sandbox.devices) devices.push_back(rule.path + ":" + rule.access);
  if (!devices.empty()) write_texts(json, "devices", devices);
  if (sandbox.user_namespace) json.field("user_namespace", true);
  if (!sandbox.landlock) json.field("landlock", false);
  if (sandbox.enforce_ports) json.field("enforce_ports", true);
  if (sandbox.deny_speculation) json.field("deny_speculation", true);
  if (sandbox.oom_score_adj) json.field("oom_score_adj", *sandbox.oom_score_adj);
}

/// What differs from an untouched sandbox; in the words of a task file, so that read_task() reads it back.
void write_sandbox(JsonWriter& json, const SandboxSpec& sandbox) {
  json.key("sandbox").begin_object();
  if (sandbox.network != Network::kHost) json.field("network", sandbox.network == Network::kNone ? "none" : "bridge");
  if (!sandbox.root.path.empty()) write_root(json, sandbox.root);
  write_file_systems(json, sandbox);
  if (!sandbox.environment.empty()) {
    json.key("environment").begin_object();
    for (const auto& [name, value] : sandbox.environment) json.field(name, value);
    json.end_object();
  }
  if (!sandbox.secrets.empty()) write_texts(json, "secrets", sandbox.secrets);
  if (!sandbox.rlimits.empty()) write_rlimits(json, sandbox.rlimits);
  write_limits(json, sandbox.limits);
  if (sandbox.disk.inodes > 0) json.field("inodes", sandbox.disk.inodes);
  if (sandbox.disk.logs > 0) json.field("log_quota", sandbox.disk.logs);
  write_walls(json, sandbox);
  json.end_object();
}

bool is_untouched(SandboxSpec sandbox) {
  sandbox.limits.cpu = 0, sandbox.limits.memory = 0, sandbox.disk.bytes = 0;  // these stand under `resources`
  SandboxSpec untouched;
  untouched.limits.pids = kDefaultPids;
  Encoder ours, usual;
  ours(sandbox), usual(untouched);
  return ours.take() == usual.take();
}

bool is_default(const LogPolicy& policy) {
  return policy.destination == LogDestination::kFile && policy.mode == LogMode::kStandard && policy.rate_limit == 0 &&
         policy.when_full == WhenFull::kBlock && !policy.journald;
}

/// The parts that Thermos does not know in a task. Its tools skip them.
void write_ours(JsonWriter& json, const TaskSpec& spec) {
  if (spec.time_limit > Duration{}) write_span(json, "time_limit", spec.time_limit);
  if (!is_default(spec.logger)) write_logger(json, spec.logger);
  if (!spec.ports.empty()) write_texts(json, "ports", spec.ports);
  if (!is_untouched(spec.sandbox)) write_sandbox(json, spec.sandbox);
  if (spec.health_check) write_health_check(json, *spec.health_check);
  if (spec.lifecycle) write_lifecycle(json, *spec.lifecycle);
  if (spec.announce) write_announce(json, *spec.announce);
}

}  // namespace

std::string task_json(const TaskSpec& spec) {
  JsonWriter json;
  json.begin_object().field("name", spec.name);
  if (!spec.user.empty()) json.field("user", spec.user);
  json.key("processes").begin_array();
  for (const ProcessSpec& process : spec.processes) write_process(json, process);
  json.end_array().key("constraints").begin_array();
  for (const Order& order : spec.constraints) {
    json.begin_object().key("order").begin_array();
    for (const std::string& name : order) json.value(name);
    json.end_array().end_object();
  }
  json.end_array();
  if (spec.resources) {
    json.key("resources").begin_object().field("cpu", spec.resources->cpu).field("ram", spec.resources->ram);
    json.field("disk", spec.resources->disk).field("gpu", spec.resources->gpu).end_object();
  }
  json.field("max_failures", spec.max_failures).field("max_concurrency", spec.max_concurrency);
  write_span(json, "finalization_wait", spec.finalization_wait);
  write_ours(json, spec);
  json.end_object();
  return json.take();
}

}  // namespace dewar
