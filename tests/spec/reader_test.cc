// What good task files mean.
#include <chrono>

#include "tests/spec/reading.h"
#include "thermos/spec/bind.h"

namespace dewar {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

TEST(Reader, GivesEveryFieldThermossDefault) {
  const TaskSpec task = task_of("processes:\n- name: web\n  cmdline: ./web\n");
  EXPECT_EQ(task.name, "web") << "the first process's name";
  EXPECT_EQ(task.max_failures, 1u);
  EXPECT_EQ(task.max_concurrency, 0u);
  EXPECT_EQ(task.finalization_wait, 30s);
  EXPECT_FALSE(task.resources || task.health_check || task.lifecycle || task.announce);
  ASSERT_EQ(task.processes.size(), 1u);
  const ProcessSpec& web = task.processes[0];
  EXPECT_EQ(web.cmdline, "./web");
  EXPECT_EQ(web.max_failures, 1u);
  EXPECT_EQ(web.min_duration, 5s);
  EXPECT_FALSE(web.daemon || web.ephemeral || web.final || web.logger);
  EXPECT_EQ(task.sandbox.limits.pids, 4096u);
  EXPECT_EQ(task.sandbox.limits.memory, 0u);
}

TEST(Reader, ReadsEveryFieldOfTasksAndProcesses) {
  const TaskSpec task = task_of(R"(
name: all
user: www-data
processes:
  - name: a
    cmdline: |
      one
      two
    max_failures: 0
    daemon: true
    ephemeral: true
    min_duration: 500ms
  - {name: z, cmdline: bye, final: true, time_limit: 5m}
max_failures: 3
max_concurrency: 2
finalization_wait: 2m
time_limit: 1h
resources: {cpu: 1.5, ram: 128MB, disk: 1.5GB, gpu: 1}
)");
  EXPECT_EQ(task.user, "www-data");
  EXPECT_EQ(task.processes[0].cmdline, "one\ntwo\n");
  EXPECT_EQ(task.processes[0].max_failures, 0u);
  EXPECT_TRUE(task.processes[0].daemon && task.processes[0].ephemeral);
  EXPECT_EQ(task.processes[0].min_duration, 500ms);
  EXPECT_TRUE(task.processes[1].final);
  EXPECT_EQ(task.processes[0].time_limit, 0s) << "none";
  EXPECT_EQ(task.processes[1].time_limit, 5min);
  EXPECT_EQ(task.max_failures, 3u);
  EXPECT_EQ(task.max_concurrency, 2u);
  EXPECT_EQ(task.finalization_wait, 2min);
  EXPECT_EQ(task.time_limit, 1h);
  ASSERT_TRUE(task.resources);
  EXPECT_EQ(task.resources->cpu, 1.5);
  EXPECT_EQ(task.resources->ram, 128u << 20);
  EXPECT_EQ(task.resources->disk, 3u << 29);
  EXPECT_EQ(task.sandbox.disk.bytes, 3u << 29);
  EXPECT_EQ(task.resources->gpu, 1u);
  EXPECT_EQ(task.sandbox.limits.cpu, 1.5) << "limits come from resources";
  EXPECT_EQ(task.sandbox.limits.memory, 128u << 20);
}

TEST(Reader, FollowsThermossTypeRules) {
  const auto truth = [](const std::string& word) {
    return task_of("processes: [{name: p, cmdline: x, daemon: " + word + "}]").processes[0].daemon;
  };
  for (const char* word : {"true", "True", "TRUE", "1", "'true'", "'1'", "2"}) EXPECT_TRUE(truth(word)) << word;
  for (const char* word : {"false", "FALSE", "0", "0.0", "'False'", "~"}) EXPECT_FALSE(truth(word)) << word;
  EXPECT_EQ(task_of(with_process("max_failures: '7'")).max_failures, 7u) << "a numeric text is a number";
  EXPECT_EQ(task_of(with_process("max_failures: 7.0")).max_failures, 7u);
  EXPECT_EQ(task_of("processes: [{name: 12, cmdline: 3.5}]").processes[0].name, "12") << "a number is a text";
}

TEST(Reader, ReadsEveryWayToWriteAnOrder) {
  const std::string processes = "processes: [{name: a, cmdline: x}, {name: b, cmdline: x}, {name: c, cmdline: x}]\n";
  const Order ab{"a", "b"}, bc{"b", "c"}, abc{"a", "b", "c"};
  EXPECT_THAT(task_of(processes + "constraints: [{order: [a, b]}, {order: [b, c]}]").constraints, ElementsAre(ab, bc));
  EXPECT_THAT(task_of(processes + "order: [a, b, c]").constraints, ElementsAre(abc));
  EXPECT_THAT(task_of(processes + "order: [[a, b], [b, c]]").constraints, ElementsAre(ab, bc));
  EXPECT_THAT(task_of(processes + "constraints: [{order: [a, b]}]\norder: [b, c]").constraints, ElementsAre(ab, bc));
  EXPECT_THAT(task_of(processes).constraints, IsEmpty());
}

TEST(Reader, ALoggerOfAProcessReplacesTheTasksAsAWhole) {
  const TaskSpec task = task_of(R"(
logger: {destination: both, mode: rotate, rotate: {log_size: 1MB, backups: 2}}
processes:
  - {name: a, cmdline: x}
  - {name: b, cmdline: x, logger: {mode: rotate}}
)");
  EXPECT_EQ(task.logger.destination, LogDestination::kBoth);
  EXPECT_EQ(task.logger.mode, LogMode::kRotate);
  EXPECT_EQ(task.logger.log_size, 1u << 20);
  EXPECT_EQ(task.logger.backups, 2u);
  EXPECT_FALSE(task.processes[0].logger);
  ASSERT_TRUE(task.processes[1].logger);
  EXPECT_EQ(task.processes[1].logger->destination, LogDestination::kFile);
  EXPECT_EQ(task.processes[1].logger->log_size, 100u << 20);
  EXPECT_EQ(task.processes[1].logger->backups, 5u);
}

TEST(Reader, ALoggersLimits) {
  const TaskSpec task = task_of(R"(
logger: {rate_limit: 2MB, when_full: drop, journald: true, mode: rotate, rotate: {compress: false}}
processes: [{name: a, cmdline: x, logger: {mode: rotate}}]
)");
  EXPECT_EQ(task.logger.rate_limit, 2u << 20);
  EXPECT_EQ(task.logger.when_full, WhenFull::kDrop);
  EXPECT_TRUE(task.logger.journald);
  EXPECT_FALSE(task.logger.compress);
  const LogPolicy& usual = *task.processes[0].logger;
  EXPECT_EQ(usual.rate_limit, 0u);
  EXPECT_EQ(usual.when_full, WhenFull::kBlock);
  EXPECT_FALSE(usual.journald);
  EXPECT_TRUE(usual.compress);
  const TaskSpec again = task_of(task_json(task));
  EXPECT_EQ(again.logger.rate_limit, 2u << 20);
  EXPECT_EQ(again.logger.when_full, WhenFull::kDrop);
  EXPECT_TRUE(again.logger.journald);
  EXPECT_FALSE(again.logger.compress);
}

TEST(Reader, GathersEveryPortThatIsNamedOrReferenced) {
  const TaskSpec task = task_of(R"(
processes: [{name: p, cmdline: "x {{thermos.ports[http]}} {{thermos.ports[http]}}"}]
ports: [health]
resources: {cpu: 1, ram: 1MB, disk: 1MB, ports: [admin]}
sandbox: {environment: {P: "{{thermos.ports[env]}}"}}
)");
  EXPECT_THAT(task.ports, ElementsAre("admin", "env", "health", "http"));
}

TEST(Reader, ReadsAnAuroraJobWrittenInYaml) {
  const std::string text = R"(
name: hello
role: www-data
environment: prod
cluster: west
service: true
task:
  name: hello_task
  user: someone
  processes: [{name: p, cmdline: "{{role}}/{{environment}}/{{name}}"}]
)";
  const TaskSpec task = task_of(text);
  EXPECT_EQ(task.job, "hello");
  EXPECT_EQ(task.name, "hello_task");
  EXPECT_EQ(task.role, "www-data");
  EXPECT_EQ(task.user, "www-data") << "the role is the account";
  EXPECT_EQ(task.environment, "prod");
  EXPECT_EQ(task.cluster, "west");
  EXPECT_EQ(task.processes[0].cmdline, "www-data/prod/p") << "the nearest name is the process's own";
  EXPECT_THAT(complaints_of(text), ElementsAre("6:1: warning: 'service' has no effect here"));
}

TEST(Reader, TakesAByteOrderMarkAndCarriageReturns) {
  const TaskSpec task = task_of("\xEF\xBB\xBFname: x\r\nprocesses:\r\n- name: p\r\n  cmdline: 'true'\r\n");
  EXPECT_EQ(task.name, "x");
  EXPECT_EQ(task.processes[0].cmdline, "true");
}

TEST(Reader, TellsJsonFromYamlByTheFirstKeysQuote) {
  EXPECT_EQ(task_of("{name: y, processes: [{name: p, cmdline: x}]}").name, "y");
  EXPECT_EQ(task_of(" \n\t{ \"name\":\t\"j\\/\", \"processes\": [{\"name\": \"p\", \"cmdline\": \"x\"}]}").name, "j/");
}

}  // namespace
}  // namespace dewar
