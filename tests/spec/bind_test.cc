#include "thermos/spec/bind.h"

#include <nlohmann/json.hpp>

#include "base/encoding.h"
#include "tests/spec/reading.h"

namespace dewar {
namespace {

using testing::HasSubstr;
using testing::Pair;
using testing::UnorderedElementsAre;

Bindings some_bindings() {
  return {.task_id = "id-7", .user = "www", .hostname = "host1", .instance = 3, .ports = {{"http", 31001}}};
}

std::string bound_cmdline(const std::string& cmdline) {
  const auto bound = bind(task_of("processes: [{name: p, cmdline: \"" + cmdline + "\"}]"), some_bindings());
  EXPECT_TRUE(bound) << bound.error().message();
  return bound ? bound->processes[0].cmdline : "";
}

TEST(Bind, FillsInWhatTheHostKnows) {
  EXPECT_EQ(bound_cmdline("{{thermos.task_id}} {{thermos.user}} {{mesos.instance}} {{mesos.hostname}} "
                          "{{thermos.ports[http]}}"),
            "id-7 www 3 host1 31001");
}

TEST(Bind, TakesEscapedBracesLiterally) {
  EXPECT_EQ(bound_cmdline("{{&.State}} {{&thermos.user}}"), "{{.State}} {{thermos.user}}");
}

TEST(Bind, FillsInEveryText) {
  const auto bound = bind(task_of(R"(
name: "t{{mesos.instance}}"
processes: [{name: "a{{mesos.instance}}", cmdline: x}, {name: b, cmdline: x}]
order: ["a{{mesos.instance}}", b]
sandbox: {environment: {A: "{{mesos.hostname}}"}}
health_check_config: {health_checker: {shell: {shell_command: "probe {{thermos.ports[http]}}"}}}
lifecycle: {http: {shutdown_endpoint: "/{{thermos.task_id}}"}}
)"),
                          some_bindings());
  ASSERT_TRUE(bound) << bound.error().message();
  EXPECT_EQ(bound->name, "t3");
  EXPECT_EQ(bound->processes[0].name, "a3");
  EXPECT_EQ(bound->constraints[0], (Order{"a3", "b"}));
  EXPECT_EQ(bound->sandbox.environment.at("A"), "host1");
  EXPECT_EQ(*bound->health_check->shell_command, "probe 31001");
  EXPECT_EQ(bound->lifecycle->shutdown_endpoint, "/id-7");
}

TEST(Bind, NamesEveryReferenceWithoutAValue) {
  const auto bound =
      bind(task_of("processes: [{name: p, cmdline: \"{{thermos.ports[b]}} {{thermos.ports[a]}}\"}]"), some_bindings());
  ASSERT_FALSE(bound);
  EXPECT_EQ(bound.error().message(),
            "'{{thermos.ports[a]}}' has no value here; '{{thermos.ports[b]}}' has no value here");
}

TEST(Bind, ChecksNamesAgainWithTheHostsValuesInThem) {
  Bindings bindings = some_bindings();
  bindings.hostname = "a/b";
  const auto bound = bind(task_of("processes: [{name: \"p-{{mesos.hostname}}\", cmdline: x}]"), bindings);
  ASSERT_FALSE(bound);
  EXPECT_THAT(bound.error().message(), HasSubstr("process name 'p-a/b' must not have a '/'"));
  EXPECT_FALSE(bind(task_of("processes: [{name: \"3\", cmdline: x}, {name: \"{{mesos.instance}}\", cmdline: x}]"),
                    some_bindings()));
}

TEST(Bind, PortsOfAPortmapAreKnownByEveryOneOfTheirNames) {
  const TaskSpec task = task_of(R"(
processes: [{name: p, cmdline: "{{thermos.ports[aurora]}} {{thermos.ports[admin]}} {{thermos.ports[web]}}"}]
announce: {portmap: {aurora: web, web: http, admin: 81}}
)");
  EXPECT_THAT(task.ports, testing::ElementsAre("http"));
  EXPECT_THAT(resolved_ports(task, {{"http", 31001}}),
              UnorderedElementsAre(Pair("http", 31001), Pair("web", 31001), Pair("aurora", 31001), Pair("admin", 81)));
  const auto bound = bind(task, some_bindings());
  ASSERT_TRUE(bound) << bound.error().message();
  EXPECT_EQ(bound->processes[0].cmdline, "31001 81 31001");
}

TEST(TaskJson, IsWhatThermossToolsRead) {
  const std::string json = task_json(task_of(R"(
name: svc
processes:
  - {name: a, cmdline: "x \"y\"", max_failures: 3, logger: {mode: rotate, rotate: {log_size: 5MB}}}
  - {name: b, cmdline: y, final: true, min_duration: 1m}
constraints: [{order: [a]}]
resources: {cpu: 1, ram: 128MB, disk: 256MB}
)"));
  EXPECT_EQ(
      json,
      R"({"name":"svc","processes":[)"
      R"({"cmdline":"x \"y\"","name":"a","max_failures":3,"daemon":false,"ephemeral":false,"min_duration":5,)"
      R"("final":false,"logger":{"destination":"file","mode":"rotate","rotate":{"log_size":5242880,"backups":5}}},)"
      R"({"cmdline":"y","name":"b","max_failures":1,"daemon":false,"ephemeral":false,"min_duration":60,)"
      R"("final":true}],"constraints":[{"order":["a"]}],)"
      R"("resources":{"cpu":1.0,"ram":134217728,"disk":268435456,"gpu":0},)"
      R"("max_failures":1,"max_concurrency":0,"finalization_wait":30})");
}

TEST(TaskJson, ReadsBackAsTheSameTask) {
  const TaskSpec task = task_of(R"(
name: all
user: www
logger: {destination: none}
ports: [http]
processes:
  - {name: a, cmdline: "😀 {{thermos.ports[admin]}} {{&x}}", min_duration: 250ms, logger: {destination: both}}
  - {name: b, cmdline: y, daemon: true, ephemeral: true, time_limit: 1500ms}
order: [a, b]
resources: {cpu: 0.5, ram: 1MB, disk: 1MB, gpu: 2}
max_failures: 0
max_concurrency: 4
finalization_wait: 90s
time_limit: 2h
sandbox:
  network: none
  binds: ["/a:/b"]
  tmpfs: {/x: {size: 1MB, inodes: 7}}
  environment: {K: v}
  secrets: [K]
  rlimits: {nofile: [1, unlimited]}
  pids: 12
  cpu_quota: 2.5
  swap: 1MB
  capabilities: [CAP_CHOWN]
  seccomp: unconfined
)");
  const std::string json = task_json(task);
  const TaskSpec again = task_of(json);
  EXPECT_EQ(task_json(again), json);
  EXPECT_EQ(again.ports, task.ports);
  EXPECT_EQ(again.time_limit, std::chrono::hours(2));
  EXPECT_EQ(again.processes.at(1).time_limit, std::chrono::milliseconds(1500));
  EXPECT_EQ(again.sandbox.limits.pids, 12u);
  EXPECT_EQ(again.sandbox.secrets, std::vector<std::string>{"K"});
  EXPECT_EQ(again.sandbox.rlimits.at(0).hard, ~std::uint64_t{0});
  EXPECT_EQ(again.logger.destination, LogDestination::kNone);
}

template <class T>
std::string encoded(T value) {
  Encoder encoder;
  encoder(value);
  return encoder.take();
}

// A field that is left out here is missing in the checkpoint's task, and in what a bundle shows of it.
TEST(TaskJson, ReadsBackEveryFieldOfTheSandbox) {
  const TaskSpec task = task_of(R"(
processes: [{name: p, cmdline: x}]
resources: {cpu: 0.5, ram: 1MB, disk: 1MB}
sandbox:
  network: bridge
  root: {path: /srv/image, tag: v1, writable: true}
  user_namespace: true
  landlock: false
  deny_speculation: true
  tmpfs: {/tmp: 1MB}
  environment: {K: v}
  rlimits: {nofile: [1, unlimited]}
  pids: 12
  swap: 1MB
  cpuset: 0-1
  memory_soft: 512KB
  io: {weight: 50, read_bps: 1MB, write_bps: 2MB, read_iops: 3, write_iops: 4}
  hugetlb: {2MB: 4MB}
  oom_score_adj: 0
  devices: [/dev/kvm, "/dev/fuse:rwm"]
  inodes: 9
  log_quota: 1MB
)");
  EXPECT_EQ(encoded(task_of(task_json(task)).sandbox), encoded(task.sandbox));
  const TaskSpec ports = task_of(with_process("sandbox: {enforce_ports: true}"));
  EXPECT_TRUE(task_of(task_json(ports)).sandbox.enforce_ports);
}

TEST(TaskJson, TellsTasksApartThatDifferOnlyInTheirSandboxOrService) {
  const std::string plain = task_json(task_of(with_process("")));
  for (const char* more : {"sandbox: {network: none}", "sandbox: {environment: {A: b}}", "sandbox: {pids: 5}",
                           "sandbox: {rlimits: {core: 0}}", "ports: [http]", "logger: {destination: none}",
                           "sandbox: {binds: [/opt]}", "sandbox: {log_quota: 5KB}", "sandbox: {inodes: 5}",
                           "sandbox: {log_quota: 5KB}", "sandbox: {seccomp: unconfined}"}) {
    EXPECT_NE(task_json(task_of(with_process(more))), plain) << more;
  }
}

}  // namespace
}  // namespace dewar
