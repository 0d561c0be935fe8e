// Health checks, lifecycle and announcement.
#include <chrono>

#include "tests/spec/reading.h"
#include "thermos/spec/portmap.h"

namespace dewar {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Portmap = std::map<std::string, std::string>;

TEST(HealthCheck, HasThermossDefaults) {
  const HealthCheck check = task_of(with_process("health_check_config: {}")).health_check.value();
  EXPECT_EQ(check.http.endpoint, "/health");
  EXPECT_EQ(check.http.expected_response, "ok");
  EXPECT_EQ(check.http.expected_response_code, 0u);
  EXPECT_FALSE(check.shell_command);
  EXPECT_EQ(check.initial_interval, 15s);
  EXPECT_EQ(check.interval, 10s);
  EXPECT_EQ(check.timeout, 1s);
  EXPECT_EQ(check.max_consecutive_failures, 0u);
  EXPECT_EQ(check.min_consecutive_successes, 1u);
}

TEST(HealthCheck, ReadsEveryField) {
  const HealthCheck check = task_of(with_process(R"(health_check_config:
  health_checker:
    http: {endpoint: /ping, expected_response: pong, expected_response_code: 204}
    shell: {shell_command: probe}
  initial_interval_secs: 0
  interval_secs: 1.5
  timeout_secs: 250ms
  max_consecutive_failures: 4
  min_consecutive_successes: 2)"))
                                .health_check.value();
  EXPECT_EQ(check.http.endpoint, "/ping");
  EXPECT_EQ(check.http.expected_response, "pong");
  EXPECT_EQ(check.http.expected_response_code, 204u);
  EXPECT_EQ(check.shell_command, "probe");
  EXPECT_EQ(check.initial_interval, 0s);
  EXPECT_EQ(check.interval, 1500ms);
  EXPECT_EQ(check.timeout, 250ms);
  EXPECT_EQ(check.max_consecutive_failures, 4u);
  EXPECT_EQ(check.min_consecutive_successes, 2u);
}

TEST(HealthCheck, RefusesWhatCannotBeActedOn) {
  const auto wrong_with = [](const std::string& yaml) {
    return complaints_of(with_process("ports: [health]\nhealth_check_config: " + yaml));
  };
  EXPECT_THAT(wrong_with("{interval_secs: 0}"),
              ElementsAre(HasSubstr("'interval_secs' must be a time span above zero")));
  EXPECT_THAT(wrong_with("{timeout_secs: 0}"), ElementsAre(HasSubstr("above zero")));
  EXPECT_THAT(wrong_with("{initial_interval_secs: -1}"), ElementsAre(HasSubstr("must be a time span")));
  EXPECT_THAT(wrong_with("{max_consecutive_failures: -1}"), ElementsAre(HasSubstr("not negative")));
  EXPECT_THAT(wrong_with("{min_consecutive_successes: -1}"), ElementsAre(HasSubstr("not negative")));
  EXPECT_THAT(wrong_with("{health_checker: {shell: {}}}"), ElementsAre(HasSubstr("'shell' needs a 'shell_command'")));
  EXPECT_THAT(wrong_with("{health_checker: {http: {endpoint: ping}}}"), ElementsAre(HasSubstr("begins with '/'")));
  EXPECT_THAT(wrong_with("{health_checker: {tcp: {}}}"), ElementsAre(HasSubstr("unknown key 'tcp'")));
}

TEST(HealthCheck, WarnsOfAnHttpCheckWithoutItsPort) {
  EXPECT_THAT(complaints_of(with_process("health_check_config: {}")),
              ElementsAre(HasSubstr("warning: the HTTP health check")));
  EXPECT_THAT(complaints_of(with_process("ports: [health]\nhealth_check_config: {}")), IsEmpty());
}

TEST(Lifecycle, IsThereOnlyWithItsHttpPart) {
  EXPECT_FALSE(task_of(with_process("lifecycle: {}")).lifecycle);
  const HttpLifecycle plain = task_of(with_process("lifecycle: {http: {}}")).lifecycle.value();
  EXPECT_EQ(plain.port, "health");
  EXPECT_EQ(plain.graceful_shutdown_endpoint, "/quitquitquit");
  EXPECT_EQ(plain.shutdown_endpoint, "/abortabortabort");
  EXPECT_EQ(plain.graceful_shutdown_wait, 5s);
  EXPECT_EQ(plain.shutdown_wait, 5s);
  const HttpLifecycle own =
      task_of(with_process("lifecycle: {http: {port: admin, graceful_shutdown_wait_secs: 7, shutdown_wait_secs: 1m}}"))
          .lifecycle.value();
  EXPECT_EQ(own.port, "admin");
  EXPECT_EQ(own.graceful_shutdown_wait, 7s);
  EXPECT_EQ(own.shutdown_wait, 60s);
}

TEST(Announce, GivesThePrimaryPortASecondNameByDefault) {
  const TaskSpec task = task_of(with_process("announce: {primary_port: web}"));
  EXPECT_EQ(task.announce->portmap, (Portmap{{"aurora", "web"}}));
  EXPECT_THAT(task.ports, ElementsAre("web"));
}

TEST(Announce, AsksOnlyForPortsThatNeitherAliasNorNumberStandsFor) {
  const TaskSpec task = task_of(
      "processes: [{name: p, cmdline: \"{{thermos.ports[https]}} {{thermos.ports[own]}}\"}]\n"
      "announce: {portmap: {http: 80, aurora: http, https: aurora, thrift: service}}\n");
  EXPECT_EQ(task.announce->portmap,
            (Portmap{{"http", "80"}, {"aurora", "80"}, {"https", "80"}, {"thrift", "service"}}));
  EXPECT_THAT(task.ports, ElementsAre("own", "service"));
}

TEST(Announce, RefusesCirclesAndNumbersThatAreNoPort) {
  EXPECT_THAT(complaints_of(with_process("announce: {portmap: {http: b, b: c, c: b}}")),
              testing::Contains(HasSubstr("ports stand for each other in a circle: b -> c -> b")));
  EXPECT_THAT(complaints_of(with_process("announce: {portmap: {http: 0, b: 65536, c: 65535}}")),
              ElementsAre(HasSubstr("warning: 'announce' has the primary port 'http'"),
                          HasSubstr("'http' must be the name of a port, or a number from 1 to 65535"),
                          HasSubstr("'b' must be")));
}

TEST(Portmap, FollowsAliasesToTheirEndInAnyOrder) {
  Portmap chain{{"a", "b"}, {"b", "c"}, {"c", "z"}, {"x", "c"}, {"self", "self"}};
  EXPECT_THAT(resolve_portmap(chain), IsEmpty());
  EXPECT_EQ(chain, (Portmap{{"a", "z"}, {"b", "z"}, {"c", "z"}, {"x", "z"}, {"self", "self"}}));
}

TEST(Portmap, LeavesOutWhatLeadsIntoACircle) {
  Portmap map{{"a", "b"}, {"b", "a"}, {"c", "a"}, {"d", "1"}};
  EXPECT_THAT(resolve_portmap(map), ElementsAre("a -> b -> a"));
  EXPECT_EQ(map, (Portmap{{"d", "1"}}));
}

}  // namespace
}  // namespace dewar
