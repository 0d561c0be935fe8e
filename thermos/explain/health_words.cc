#include "thermos/explain/health_words.h"

#include <algorithm>
#include <cstdlib>

#include "base/units.h"
#include "thermos/explain/words.h"

namespace dewar {
namespace {

constexpr std::size_t kLongestName = 60, kLongestOutput = 200, kLongestDetail = 400;

std::string checks_words(std::uint64_t count) {
  return count == 1 ? "a check" : std::to_string(count) + " checks in a row";
}

std::string outcome_detail(const CheckOutcome& outcome) {
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(outcome.took);
  return std::to_string(outcome.time) + (outcome.passed ? " passed " : " failed ") +
         std::to_string(milliseconds.count()) + " " + one_line(outcome.words, kLongestDetail);
}

/// "1700000000.5 failed 12 answered 500" -> "2023-…Z  failed after 12ms: answered 500"
std::string outcome_row(const std::string& detail) {
  const std::size_t first = detail.find(' '), second = detail.find(' ', first + 1);
  const std::size_t third = second == std::string::npos ? second : detail.find(' ', second + 1);
  if (third == std::string::npos) return detail;
  const std::chrono::milliseconds took(std::strtoll(detail.c_str() + second, nullptr, 10));
  return format_rfc3339(std::strtod(detail.c_str(), nullptr)) + "  " + detail.substr(first + 1, second - first - 1) +
         " after " + format_duration(took) + ": " + detail.substr(third + 1);
}

}  // namespace

std::string check_name(const HealthCheck& check, std::int64_t port) {
  if (check.shell_command) return "'" + one_line(*check.shell_command, kLongestName) + "'";
  return "GET " + one_line(check.http.endpoint, kLongestName) + " on port " + std::to_string(port);
}

CheckOutcome outcome_of(const HealthCheck& check, const AttemptStatus& status, std::string_view output, bool late) {
  CheckOutcome outcome;
  outcome.time = status.stop_time;
  const std::string line = one_line(output.substr(0, output.find('\n')), kLongestOutput);
  if (status.stage == AttemptStage::kRefused) {
    outcome.words = "could not be started: " + explain_step(status.step, status.error, status.detail);
    return outcome;
  }
  const std::chrono::duration<double> took(std::max(status.stop_time - status.start_time, 0.0));
  outcome.took = std::chrono::duration_cast<Duration>(took);
  outcome.passed = status.return_code == 0;
  const std::string within = " within " + format_duration(check.timeout);
  if (check.shell_command) {
    outcome.words = late && !outcome.passed ? "did not end" + within : code_words(status.return_code);
    if (!line.empty()) outcome.words += ": " + line;
  } else if (!line.empty() && (status.return_code == 0 || status.return_code == 1)) {
    outcome.words = line;
  } else if (late) {
    outcome.words = "gave no answer" + within;
  } else {  // by a runner that took it over
    outcome.words = outcome.passed ? "answered" : "was not answered well: " + code_words(status.return_code);
  }
  return outcome;
}

std::string outcome_words(const HealthCheck& check, std::int64_t port, const CheckOutcome& outcome) {
  return check_name(check, port) + (check.shell_command ? ": " : " ") + outcome.words;
}

std::string healthy_words(const HealthState& state) {
  return "healthy: " + checks_words(state.successes) + (state.successes == 1 ? " has passed" : " have passed");
}

std::string unhealthy_words(const HealthCheck& check, std::int64_t port, const HealthRecord& record) {
  const HealthState& state = record.state;
  const std::string needed = std::to_string(check.min_consecutive_successes);
  const std::string deadline = std::to_string(rules_of(check).deadline);
  std::string words = "unhealthy, ";
  if (state.health == TaskHealth::kTooLate) {
    words += "it has not passed " + needed + " of its first " + deadline + " checks in a row";
  } else if (state.health == TaskHealth::kHopeless) {
    words += "it can no longer pass " + needed + " of its first " + deadline + " checks in a row";
  } else {
    words += checks_words(state.failed) + " failed";
  }
  return record.last.empty() ? words : words + ": " + outcome_words(check, port, record.last.back());
}

Details health_details(const HealthCheck& check, std::int64_t port, const HealthRecord& record) {
  Details details{{"cause", std::string(to_string(Cause::kHealth))},
                  {"ends", "task"},
                  {"check", check_name(check, port)},
                  {"checks", std::to_string(record.state.checks)},
                  {"failed", std::to_string(record.state.failed)},
                  {"tolerated", std::to_string(check.max_consecutive_failures)}};
  std::size_t number = record.last.size();
  for (const CheckOutcome& outcome : record.last) details["last." + std::to_string(number--)] = outcome_detail(outcome);
  return details;
}

Card health_card(const Details& details) {
  Card card{"Health check", {}, {}, {}};
  const auto add = [&](const char* name, const std::string& detail, const std::string& behind = "") {
    if (const auto found = details.find(detail); found != details.end())
      card.rows.emplace_back(name, found->second + behind);
  };
  add("check", "check");
  add("checked", "checks", " times");
  add("failed", "failed", " in a row");
  add("tolerated", "tolerated", " in a row");
  for (std::size_t i = 1; i <= HealthRecord::kMostOutcomes; ++i)
    if (const auto found = details.find("last." + std::to_string(i)); found != details.end())
      card.rows.emplace_back(i == 1 ? "last" : "", outcome_row(found->second));
  return card;
}

}  // namespace dewar
