// Health checks of whole tasks, by HTTP and by shell: what passes, what ends a task, and what is left of a check.
#include "thermos/health.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "base/files.h"
#include "tests/scenario/task_run.h"
#include "tests/support/wait_in.h"
#include "thermos/explain/explain.h"
#include "thermos/explain/gather.h"

namespace dewar {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::StartsWith;

/// A service whose answer to GET /health is `answer`, a line of Python that has `self`.
std::string service(const std::string& answer) {
  return R"yaml(
  - name: serve
    cmdline: |
      exec python3 -c '
      import http.server, pathlib
      class Handler(http.server.BaseHTTPRequestHandler):
          def say(self, code, body):
              self.send_response(code); self.end_headers(); self.wfile.write(body.encode())
          def do_GET(self):
              open("asked", "a").write(self.path + "\n")
              )yaml" +
         answer + R"yaml(
          def log_message(self, *words): pass
      server = http.server.HTTPServer(("127.0.0.1", {{thermos.ports[health]}}), Handler)
      open("up", "w")
      server.serve_forever()'
)yaml";
}

/// A task with `processes` and a health check; what `more` does not say is quick: an interval of 0.1 s.
std::string task_with(const std::string& processes, const std::string& check, const std::string& more = "") {
  return "name: t\nfinalization_wait: 5\nprocesses:" + processes + "\nhealth_check_config:\n  interval_secs: 0.1\n" +
         check + more;
}

std::string shell_check(const std::string& command, const std::string& numbers) {
  return "  health_checker: {shell: {shell_command: '" + command + "'}}\n" + numbers;
}

constexpr const char* kSleeper = "\n  - {name: p, cmdline: 'exec sleep 100'}";
/// A minute of grace: long enough for any service to start, and a task that gets healthy does not wait for it.
constexpr const char* kGrace = "  initial_interval_secs: 60\n  timeout_secs: 20\n";
constexpr const char* kNoGrace = "  initial_interval_secs: 0\n  timeout_secs: 20\n";

std::vector<EventRecord> events_of(const TaskHistory& history) {
  std::vector<EventRecord> events;
  for (const EventRecord& event : history.events)
    if (event.kind == "health") events.push_back(event);
  return events;
}

TaskHistory wait_healthy(TaskRun& task) {
  return task.wait([](const TaskHistory& history) { return !events_of(history).empty(); }, "a word about its health");
}

void kill_task(TaskRun& task) {
  ASSERT_EQ(::kill(task.runner_pid(), SIGUSR1), 0);
  task.wait_end();
}

Explanation explained(const TaskRun& task) {
  auto evidence = gather_evidence(task.spec().run_folder);
  EXPECT_TRUE(evidence) << evidence.error().message();
  return evidence ? explain_task(*evidence) : Explanation{};
}

std::string rows_of(const Explanation& told, const std::string& title) {
  std::string text;
  for (const Card& card : told.cards)
    for (const auto& [name, value] : card.rows)
      if (card.title == title) text += name + "=" + value + "\n";
  return text;
}

HealthRecord record_of(const TaskRun& task) {
  auto record = read_health(task.spec().run_folder);
  EXPECT_TRUE(record) << record.error().message();
  return record ? std::move(record).take() : HealthRecord{};
}

/// Waits until what the runner has written down is as `wanted`.
template <class Wanted>
void wait_record(const TaskRun& task, Wanted wanted) {
  EXPECT_TRUE(wait_in(task.spec().run_folder, [&] { return wanted(record_of(task).state); }));
}

TEST(HealthCheck, AServiceThatAnswersIsHealthyThoughNobodyListensAtFirst) {
  TaskRun task(task_with(service("self.say(200, \" OK\\n\")"), kGrace));
  task.start();
  const auto events = events_of(wait_healthy(task));
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].words, "healthy: a check has passed");
  const HealthRecord record = record_of(task);
  EXPECT_EQ(record.state.health, TaskHealth::kHealthy);
  EXPECT_EQ(record.last.back().words, "answered 200 OK");
  EXPECT_THAT(*read_file(task.sandbox() + "/asked"), StartsWith("/health\n"));
  kill_task(task);
  EXPECT_FALSE(exists(task.spec().run_folder + "/check"));
}

// covers: cause health-check
TEST(HealthCheck, AServiceThatAnswersAnErrorIsEndedAndTheSentenceHasItsAnswer) {
  TaskRun task(task_with(
      service("self.say(500, \"no database\\nat line 7\")") +
          "\n  - {name: bye, final: true, cmdline: 'touch finalized'}",
      std::string(kNoGrace) + "  health_checker: {http: {endpoint: /live}}\n  max_consecutive_failures: 2\n"));
  task.prepare();
  const std::string snooze = task.sandbox() + "/.healthchecksnooze";
  ASSERT_TRUE(replace_file(snooze, ""));
  task.start();
  wait_healthy(task);
  task.wait_file("up");
  ASSERT_EQ(::unlink(snooze.c_str()), 0);
  const TaskHistory end = task.wait_end();
  EXPECT_EQ(states_of(end), "ACTIVE CLEANING FINALIZING FAILED");
  EXPECT_EQ(runs_of(end, "serve"), "KILLED");
  EXPECT_TRUE(exists(task.sandbox() + "/finalized"));
  const Explanation told = explained(task);
  EXPECT_EQ(told.cause, Cause::kHealth);
  const std::string subject = "GET /live on port " + std::to_string(task.spec().ports.at("health"));
  const std::string answer = " answered 500 Internal Server Error: 'no database' instead of 'ok'";
  EXPECT_EQ(told.sentence, ("task FAILED: unhealthy, 3 checks in a row failed: " + subject + answer));
  const std::string rows = rows_of(told, "Health check");
  EXPECT_THAT(rows, AllOf(HasSubstr("check=" + subject + "\n"), HasSubstr("failed=3 in a row\ntolerated=2 in a row\n"),
                          HasSubstr("last="), HasSubstr(":" + answer + "\n"), HasSubstr("Z  passed after ")));
  EXPECT_THAT(told.advice, ElementsAre(HasSubstr("health_check_config")));
  EXPECT_EQ(explain_process(*gather_evidence(task.spec().run_folder), "serve", {}).cause, Cause::kStopped);
}

TEST(HealthCheck, AShellCheckSeesTheSandboxAsTheTasksUser) {
  TaskRun task(
      task_with(kSleeper, shell_check("id -u > who; pwd >> who; echo $HOME >> who; grep -c . /proc/self/cgroup; "
                                      "sed -n \"s/^NoNewPrivs:.//p;s/^Seccomp:.//p\" /proc/self/status >> who; "
                                      "ls -d /proc/[0-9]* | wc -l >> who",
                                      kGrace)));
  task.start();
  wait_healthy(task);
  const std::string who = *read_file(task.sandbox() + "/who");
  EXPECT_THAT(who, MatchesRegex("65534\n" + task.sandbox() + "\n" + task.sandbox() + "\n1\n2\n[0-9]\n"));
  EXPECT_THAT(record_of(task).last.back().words, StartsWith("exit status 0: "));
  kill_task(task);
}

TEST(HealthCheck, AShellCheckThatFailsTellsItsExitStatusAndItsFirstLine) {
  TaskRun task(task_with(kSleeper, shell_check("echo no response >&2; echo more; exit 2", kNoGrace)));
  EXPECT_EQ(task.run().state(), TaskState::kFailed);
  const Explanation told = explained(task);
  EXPECT_EQ(
      told.sentence,
      "task FAILED: unhealthy, a check failed: 'echo no response >&2; echo more; exit 2': exit status 2: no response");
  EXPECT_THAT(rows_of(told, "Health check"), HasSubstr(": exit status 2: no response\n"));
}

TEST(HealthCheck, WhatHangsIsEndedInTimeWithAllThatItHasForked) {
  TaskRun task(task_with(
      kSleeper, shell_check("setsid sleep 300 & (sleep 301 &) ; echo waiting; sleep 302",
                            "  initial_interval_secs: 0\n  timeout_secs: 0.3\n  max_consecutive_failures: 1\n")));
  EXPECT_EQ(task.run().state(), TaskState::kFailed);
  EXPECT_THAT(explained(task).sentence,
              StartsWith("task FAILED: unhealthy, 2 checks in a row failed: 'setsid sleep 300 &"));
  ASSERT_EQ(record_of(task).last.size(), 2u);  // the second one began: the first was over
  for (const CheckOutcome& outcome : record_of(task).last)
    EXPECT_THAT(outcome.words, StartsWith("did not end within 300ms"));
}

const std::string kNap = "303." + std::to_string(::getpid());  // ours alone

/// How many processes of the host are `sleep <kNap>`.
int sleepers() {
  int count = 0;
  for (const std::string& name : *list_dir("/proc")) {
    const auto line = read_file("/proc/" + name + "/cmdline");
    if (line && *line == "sleep" + std::string(1, '\0') + kNap + '\0') ++count;
  }
  return count;
}

TEST(HealthCheck, ADaemonThatACheckLeavesIsEndedWithIt) {
  TaskRun task(task_with(kSleeper, shell_check("setsid sleep " + kNap + " > /dev/null 2>&1 & :", kGrace)));
  task.start();
  wait_healthy(task);
  const std::uint64_t checks = record_of(task).state.checks;
  // Whenever a further check is over, there is nothing of those before.
  wait_record(task, [&](const HealthState& state) { return state.checks >= checks + 3; });
  for (const CheckOutcome& outcome : record_of(task).last) EXPECT_TRUE(outcome.passed) << outcome.words;
  EXPECT_LE(sleepers(), 1) << "of a check that goes on";
  kill_task(task);
  EXPECT_EQ(sleepers(), 0);
}

TEST(HealthCheck, AFloodOfOutputIsReadToItsEndAndCut) {
  TaskRun task(task_with(kSleeper, shell_check("head -c 64M /dev/zero", kGrace)));
  task.start();
  wait_healthy(task);
  EXPECT_EQ(record_of(task).last.back().words, "exit status 0: " + std::string(197, '?') + "...");
  kill_task(task);
}

TEST(HealthCheck, TwoInARowAreNeededWhereTheTaskSaysSo) {
  TaskRun task(
      task_with(kSleeper, shell_check("[ -e odd ] && rm odd || { touch odd; false; }",
                                      "  initial_interval_secs: 0\n  timeout_secs: 20\n  max_consecutive_failures: 4\n"
                                      "  min_consecutive_successes: 2\n")));
  EXPECT_EQ(task.run().state(), TaskState::kFailed);
  EXPECT_THAT(explained(task).sentence,
              StartsWith("task FAILED: unhealthy, it has not passed 2 of its first 6 checks in a row: "));
  EXPECT_EQ(record_of(task).state.checks, 6u);
}

TEST(HealthCheck, ASnoozedTaskIsNotAsked) {
  TaskRun task(task_with("\n  - {name: p, cmdline: 'touch .healthchecksnooze up; exec sleep 100'}",
                         shell_check("[ -e up ] && { touch asked; exit 3; }; sleep 0.1; false",
                                     "  initial_interval_secs: 600\n  timeout_secs: 20\n")));
  task.start();
  const TaskHistory history = wait_healthy(task);
  EXPECT_EQ(events_of(history)[0].words, "healthy: a check has passed");
  EXPECT_EQ(record_of(task).last.back().words, "snoozed");
  kill_task(task);
}

TEST(HealthCheck, IsAskedInsideTheTasksOwnNetwork) {
  TaskRun task(task_with(service("self.say(200, \"ok\")"), kGrace, "sandbox: {network: none}\n"));
  task.start();
  wait_healthy(task);
  EXPECT_EQ(record_of(task).last.back().words, "answered 200 OK");
  kill_task(task);
}

TEST(HealthCheck, ALimitOfTheTaskHoldsForItsChecks) {
  TaskRun task(task_with(kSleeper, shell_check("head -c 8192 /dev/zero > file; exit $?", kNoGrace),
                         "sandbox: {rlimits: {fsize: 4096}}\n"));
  EXPECT_EQ(task.run().state(), TaskState::kFailed);
  EXPECT_THAT(explained(task).sentence, HasSubstr(": exit status 153 (from a shell: SIGXFSZ)"));
}

TEST(HealthCheck, AFilterThatKillsForAConnectionIsTold) {
  const TempFolder folder;
  ASSERT_TRUE(replace_file(folder / "profile.json",
                           R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["connect"],)"
                           R"( "action": "SCMP_ACT_KILL_PROCESS"}]})"));
  TaskRun task(task_with(kSleeper, std::string(kNoGrace) + "ports: [health]\n",
                         "sandbox: {seccomp: " + (folder / "profile.json") + "}\n"));
  EXPECT_EQ(task.run().state(), TaskState::kFailed);
  EXPECT_THAT(explained(task).sentence, HasSubstr("was not answered well: killed by SIGSYS (31)"));
}

TEST(HealthCheck, IsTakenOverByTheNextRunnerWithItsCounts) {
  TaskRun task(task_with(
      kSleeper, shell_check("[ ! -e gone ] || sleep 200",
                            "  initial_interval_secs: 0\n  timeout_secs: 1\n  max_consecutive_failures: 1\n")));
  task.start();
  wait_healthy(task);
  wait_record(task, [](const HealthState& state) { return state.checks >= 5; });
  ASSERT_TRUE(replace_file(task.sandbox() + "/gone", ""));
  wait_record(task, [](const HealthState& state) { return state.failed > 0; });
  EXPECT_TRUE(wait_in(task.spec().run_folder, [&] { return exists(task.spec().run_folder + "/check"); }));
  ASSERT_EQ(::kill(task.runner_pid(), SIGKILL), 0);  // within the second check that hangs
  task.wait_exit();
  task.start();
  const TaskHistory end = task.wait_end();
  EXPECT_EQ(end.state(), TaskState::kFailed);
  EXPECT_THAT(explained(task).sentence, StartsWith("task FAILED: unhealthy, 2 checks in a row failed: "));
  EXPECT_THAT(explained(task).sentence, HasSubstr(": did not end within 1.0s"));
  EXPECT_GE(record_of(task).state.checks, 7u);
  EXPECT_EQ(events_of(end).size(), 2u);  // healthy, unhealthy: the next runner did not begin anew
}

TEST(HealthCheck, StopsWhenTheTaskEnds) {
  TaskRun task(
      task_with("\n  - {name: p, cmdline: 'while [ ! -e go ]; do sleep 0.05; done'}"
                "\n  - {name: bye, final: true, cmdline: 'touch finalizing; sleep 1; touch finalized'}",
                shell_check("[ ! -e finalizing ] || touch asked; [ ! -e go ]", kGrace)));
  task.start();
  wait_healthy(task);
  ASSERT_TRUE(replace_file(task.sandbox() + "/go", ""));
  EXPECT_EQ(task.wait_end().state(), TaskState::kSuccess);
  EXPECT_TRUE(exists(task.sandbox() + "/finalized"));
  EXPECT_FALSE(exists(task.sandbox() + "/asked")) << "there was time for ten checks";
}

TEST(HealthCheck, ATaskWithoutOneHasNothingOfIt) {
  TaskRun task("name: t\nprocesses: [{name: p, cmdline: 'true'}]\n");
  EXPECT_EQ(task.run().state(), TaskState::kSuccess);
  EXPECT_FALSE(exists(task.spec().run_folder + "/health"));
  EXPECT_FALSE(task.spec().health);
  TaskRun portless("name: t\nprocesses: [{name: p, cmdline: 'true'}]\nhealth_check_config: {}\n");
  EXPECT_EQ(portless.run().state(), TaskState::kSuccess);
  EXPECT_FALSE(portless.spec().health);  // Thermos's: there is nobody to ask
}

}  // namespace
}  // namespace dewar
