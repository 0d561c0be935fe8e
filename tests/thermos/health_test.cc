#include "thermos/health.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/temp_folder.h"
#include "thermos/explain/health_words.h"

namespace dewar {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

/// Thermos's defaults, but for what is given.
HealthCheck check_with(Duration initial, std::uint32_t max_failures, std::uint32_t min_successes) {
  HealthCheck check;
  check.initial_interval = initial;
  check.max_consecutive_failures = max_failures;
  check.min_consecutive_successes = min_successes;
  return check;
}

/// How a task is after each check: "-" starting, "+" healthy, "X" unhealthy, "?" hopeless, "T" too late, with the
/// failures that count behind it. `row` has the checks, S for one that has passed and F for one that has not.
std::string course(const HealthCheck& check, const std::string& row) {
  const HealthRules rules = rules_of(check);
  HealthState state;
  std::string told;
  for (const char outcome : row) {
    if (begin_check(rules, state)) end_check(rules, state, outcome == 'S');
    told += std::string(told.empty() ? "" : " ") + "-+X?T"[static_cast<int>(state.health)] +
            (state.failures > 0 ? std::to_string(state.failures) : "");
    if (is_final(state.health)) break;
  }
  return told;
}

// reference: Thermos's own tests of its checker, with an interval of 10 s
TEST(Health, GoesThermossWay) {
  const HealthCheck usual;
  EXPECT_EQ(course(usual, "S"), "+");
  EXPECT_EQ(course(usual, "FS"), "- +");
  EXPECT_EQ(course(usual, "SF"), "+ +");
  EXPECT_EQ(course(usual, "SFF"), "+ + X1");
  EXPECT_EQ(course(usual, "FFF"), "- - X1");
  EXPECT_EQ(course(usual, "FFS"), "- - +");
  EXPECT_EQ(course(check_with(seconds(0), 0, 1), "F"), "X1");
  EXPECT_EQ(course(check_with(seconds(15), 2, 2), "SSFFF"), "- + +1 +2 X3");
}

TEST(Health, ASuccessForgetsTheFailuresBeforeIt) {
  EXPECT_EQ(course(check_with(seconds(0), 1, 1), "SFSFSFF"), "+ +1 + +1 + +1 X2");
  EXPECT_EQ(course(check_with(seconds(0), 9, 3), "SSFSSS"), "- - -1 - - +");
}

TEST(Health, FailuresWithinTheInitialIntervalDoNotCount) {
  EXPECT_EQ(course(check_with(seconds(20), 0, 1), "FFF"), "- - X1");
  EXPECT_EQ(course(check_with(milliseconds(20001), 0, 1), "FFFF"),
            "- - - X1");                                                 // a check that has begun in it is in it
  EXPECT_EQ(course(check_with(seconds(30), 0, 1), "SFFF"), "+ + + X1");  // though it was healthy already
}

TEST(Health, WhoCannotBecomeHealthyInTimeIsNotWaitedFor) {
  // 2 forgiven, 1 tolerated, 4 needed: the deadline is the 7th check.
  EXPECT_EQ(course(check_with(seconds(20), 1, 4), "FFSSSF"), "- - - - - -1");
  EXPECT_EQ(course(check_with(seconds(20), 1, 4), "FFSF"), "- - - ?1");
  // 0 forgiven, 4 tolerated, 2 needed: the deadline is the 6th.
  EXPECT_EQ(course(check_with(seconds(0), 4, 2), "FSFSFSS"), "-1 - -1 - -1 - T");
}

TEST(Health, HugeNumbersAreCountedToo) {
  HealthCheck check = check_with(Duration::max(), 4294967295u, 4294967295u);
  check.interval = Duration(1);
  const HealthRules rules = rules_of(check);
  EXPECT_EQ(rules.forgiven, static_cast<std::uint64_t>(Duration::max().count()));
  EXPECT_GT(rules.deadline, rules.forgiven);
  check.interval = Duration::max();
  EXPECT_EQ(rules_of(check).forgiven, 1u);
}

HealthRecord sample() {
  HealthRecord record;
  record.sandbox = {4711, 99};
  record.state = {TaskHealth::kHealthy, 12, 0, 1, 2};
  for (int i = 0; i < 7; ++i) record.add({1.5e9 + i, i % 2 == 0, milliseconds(i), "answered " + std::to_string(i)});
  return record;
}

TEST(HealthRecord, KeepsTheLastFewAndComesBack) {
  const TempFolder folder;
  EXPECT_FALSE(read_health(folder.path()));
  ASSERT_TRUE(write_health(folder.path(), sample()));
  const auto read = read_health(folder.path());
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(read->sandbox, sample().sandbox);
  EXPECT_EQ(read->state, sample().state);
  ASSERT_EQ(read->last.size(), HealthRecord::kMostOutcomes);
  EXPECT_EQ(read->last.back().words, "answered 6");
  EXPECT_EQ(read->last.front().words, "answered 2");
  EXPECT_EQ(read->last.back().took, milliseconds(6));
}

TEST(HealthRecord, DamagedOrWithoutMeaningIsRefused) {
  const std::string bytes = encode_health(sample());
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    std::string flipped = bytes;
    flipped[at] ^= 16;
    EXPECT_FALSE(decode_health(flipped)) << at;
    EXPECT_FALSE(decode_health(bytes.substr(0, at))) << at;
  }
  HealthRecord strange = sample();
  strange.state.health = static_cast<TaskHealth>(9);
  EXPECT_THAT(decode_health(encode_health(strange)).error().message(), HasSubstr("a value that has no meaning"));
  strange = sample();
  strange.last.resize(HealthRecord::kMostOutcomes + 1);
  EXPECT_THAT(decode_health(encode_health(strange)).error().message(), HasSubstr("a value that has no meaning"));
}

HealthRecord failed_with(TaskHealth health, std::uint64_t failed, const std::string& words) {
  HealthRecord record;
  record.state = {health, 9, 0, failed, failed};
  record.add({1.5e9, false, milliseconds(3), words});
  return record;
}

AttemptStatus ended(int code) {
  AttemptStatus status;
  status.stage = AttemptStage::kEnded;
  status.start_time = 100, status.stop_time = 100.25;
  status.return_code = code;
  return status;
}

// Also out of a stranger's bundle.
TEST(Health, TimesThatNoClockTellsAreRefused) {
  HealthRecord record;
  record.add({100.5, true, milliseconds(3), "exit status 0"});
  EXPECT_TRUE(decode_health(encode_health(record)));
  for (const double odd : {-1.0, 1e300, std::nan("")}) {
    HealthRecord damaged = record;
    damaged.last[0].time = odd;
    EXPECT_FALSE(decode_health(encode_health(damaged))) << odd;
  }
  record.last[0].took = milliseconds(-3);
  EXPECT_FALSE(decode_health(encode_health(record)));
}

TEST(HealthWords, NameTheCheckAndItsLastOutcome) {
  HealthCheck check = check_with(seconds(20), 1, 4);
  EXPECT_EQ(unhealthy_words(check, 31337, failed_with(TaskHealth::kUnhealthy, 1, "answered 500")),
            "unhealthy, a check failed: GET /health on port 31337 answered 500");
  EXPECT_EQ(unhealthy_words(check, 31337, failed_with(TaskHealth::kHopeless, 1, "refused the connection")),
            "unhealthy, it can no longer pass 4 of its first 7 checks in a row: GET /health on port 31337 refused the "
            "connection");
  EXPECT_EQ(unhealthy_words(check, 31337, failed_with(TaskHealth::kTooLate, 1, "answered 500")),
            "unhealthy, it has not passed 4 of its first 7 checks in a row: GET /health on port 31337 answered 500");
  check.shell_command = "pg_isready\n-q";
  EXPECT_EQ(
      unhealthy_words(check, 0,
                      failed_with(TaskHealth::kUnhealthy, 3, outcome_of(check, ended(2), "no\nresponse", false).words)),
      "unhealthy, 3 checks in a row failed: 'pg_isready?-q': exit status 2: no");
  EXPECT_EQ(healthy_words({TaskHealth::kHealthy, 1, 1, 0, 0}), "healthy: a check has passed");
  EXPECT_EQ(healthy_words({TaskHealth::kHealthy, 3, 2, 0, 0}), "healthy: 2 checks in a row have passed");
}

TEST(HealthWords, OutputIsCutToOneLineWithoutControlCharacters) {
  HealthCheck shell, http;
  shell.shell_command = "x";
  const auto of = [](const HealthCheck& check, int code, std::string_view output, bool late = false) {
    return outcome_of(check, ended(code), output, late).words;
  };
  EXPECT_EQ(of(shell, 0, ""), "exit status 0");
  EXPECT_EQ(of(shell, -9, "\x1b[31mred\x07"), "killed by SIGKILL (9): ?[31mred?");
  EXPECT_EQ(of(shell, 1, std::string(100000, 'x')).size(), std::string("exit status 1: ").size() + 200);
  EXPECT_EQ(of(shell, -9, "waiting\n", true), "did not end within 1.0s: waiting");
  EXPECT_EQ(of(http, 1, std::string("answered 500\0 Oops\nmore", 22)), "answered 500? Oops");
  EXPECT_EQ(of(http, -9, "", true), "gave no answer within 1.0s");
  EXPECT_EQ(of(http, -31, ""), "was not answered well: killed by SIGSYS (31)");
  EXPECT_EQ(of(http, 0, ""), "answered");  // a runner that took the check over does not have its output
}

TEST(HealthWords, AnOutcomeHasItsTimeAndALaunchThatWasRefusedFails) {
  AttemptStatus status = ended(0);
  CheckOutcome outcome = outcome_of(HealthCheck{}, status, "answered 200 OK\n", false);
  EXPECT_TRUE(outcome.passed);
  EXPECT_EQ(outcome.took, milliseconds(250));
  EXPECT_EQ(outcome.time, 100.25);
  EXPECT_FALSE(outcome_of(HealthCheck{}, ended(1), "answered 200 OK\n", false).passed);
  status.stop_time = 50;  // the host's clock was set
  EXPECT_EQ(outcome_of(HealthCheck{}, status, "", false).took, Duration{});
  status.stage = AttemptStage::kRefused;
  status.step = "clone", status.error = EAGAIN;
  outcome = outcome_of(HealthCheck{}, status, "", false);
  EXPECT_FALSE(outcome.passed);
  EXPECT_THAT(outcome.words, HasSubstr("could not be started: step clone: Resource temporarily unavailable (no more"));
}

}  // namespace
}  // namespace dewar
