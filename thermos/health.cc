#include "thermos/health.h"

#include <algorithm>

#include "base/document.h"
#include "base/files.h"
#include "base/units.h"

namespace dewar {
namespace {

constexpr DocumentKind kDocument{"DWHC", 1, "health"};
constexpr std::size_t kMostBytes = 1u << 16;

std::string path_in(const std::string& run_folder) { return run_folder + "/health"; }

/// Too few checks are left for the successes that it still needs. (That the last one is left out is Thermos's.)
bool is_hopeless(const HealthRules& rules, const HealthState& state) {
  const std::uint64_t left = rules.deadline - state.checks;
  return left > 1 && rules.min_successes > left;
}

/// What a clock can have said.
bool is_time(double seconds) { return seconds >= 0 && seconds <= kLastSecond; }

bool is_sound(const CheckOutcome& outcome) { return is_time(outcome.time) && outcome.took >= Duration{}; }

}  // namespace

std::string_view to_string(TaskHealth health) {
  if (health == TaskHealth::kStarting) return "starting";
  return health == TaskHealth::kHealthy ? "healthy" : "unhealthy";
}

HealthRules rules_of(const HealthCheck& check) {
  HealthRules rules;
  const auto grace = static_cast<std::uint64_t>(check.initial_interval.count());
  const auto interval = static_cast<std::uint64_t>(check.interval.count());
  rules.forgiven = grace / interval + (grace % interval == 0 ? 0 : 1);
  rules.max_failures = check.max_consecutive_failures;
  rules.min_successes = check.min_consecutive_successes;
  rules.deadline = rules.forgiven + rules.max_failures + rules.min_successes;
  return rules;
}

bool begin_check(const HealthRules& rules, HealthState& state) {
  if (state.health == TaskHealth::kStarting && state.checks >= rules.deadline) state.health = TaskHealth::kTooLate;
  if (is_final(state.health)) return false;
  ++state.checks;
  return true;
}

void end_check(const HealthRules& rules, HealthState& state, bool passed) {
  if (passed) {
    ++state.successes;
    state.failures = state.failed = 0;
    if (state.successes >= rules.min_successes) state.health = TaskHealth::kHealthy;
    return;
  }
  state.successes = 0;
  ++state.failed;
  if (state.checks <= rules.forgiven) return;
  if (state.health == TaskHealth::kStarting && is_hopeless(rules, state)) state.health = TaskHealth::kHopeless;
  if (++state.failures > rules.max_failures) state.health = TaskHealth::kUnhealthy;
}

void HealthRecord::add(CheckOutcome outcome) {
  if (last.size() >= kMostOutcomes) last.erase(last.begin());
  last.push_back(std::move(outcome));
}

std::string encode_health(const HealthRecord& record) { return encode_document(kDocument, record); }

Result<HealthRecord> decode_health(std::string_view bytes) {
  HealthRecord record = DEWAR_TRY(decode_document<HealthRecord>(kDocument, bytes));
  if (record.state.health > TaskHealth::kTooLate || record.last.size() > HealthRecord::kMostOutcomes ||
      !std::ranges::all_of(record.last, is_sound))
    return fail(std::errc::bad_message, "health: it holds a value that has no meaning");
  return record;
}

Result<HealthRecord> read_health(const std::string& run_folder) {
  const std::string path = path_in(run_folder);
  return decode_health(DEWAR_TRY(read_file(path, kMostBytes))).context(path);
}

Result<void> write_health(const std::string& run_folder, const HealthRecord& record) {
  return replace_file(path_in(run_folder), encode_health(record), 0600);
}

}  // namespace dewar
