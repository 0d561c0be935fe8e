// Whether a task is healthy: what a row of checks says of it. The counting is pure and Thermos's (docs/task-file.md,
// "health_check_config"); `<run>/health` keeps it, for whoever asks and for the next runner.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/process.h"
#include "base/result.h"
#include "thermos/spec/task_spec.h"

namespace dewar {

enum class TaskHealth : std::uint8_t {
  kStarting,   ///< not healthy yet
  kHealthy,    ///< has been so once; failures are counted, up to what is tolerated
  kUnhealthy,  ///< too many checks in a row have failed
  kHopeless,   ///< was never healthy, and the checks that are left are too few to become so
  kTooLate,    ///< was never healthy, and its time for that is over
};
std::string_view to_string(TaskHealth health);  ///< "starting", "healthy"; the others are "unhealthy"
inline bool is_final(TaskHealth health) { return health > TaskHealth::kHealthy; }

/// A health check's numbers, in checks.
struct HealthRules {
  std::uint64_t forgiven = 0;      ///< so many at the start may fail: initial_interval / interval, rounded up
  std::uint64_t deadline = 0;      ///< by this one it must have become healthy
  std::uint64_t max_failures = 0;  ///< tolerated in a row
  std::uint64_t min_successes = 1;
};
HealthRules rules_of(const HealthCheck& check);

/// The counts of one task.
struct HealthState {
  TaskHealth health = TaskHealth::kStarting;
  std::uint64_t checks = 0;     ///< begun
  std::uint64_t successes = 0;  ///< in a row
  std::uint64_t failures = 0;   ///< in a row, without the forgiven ones
  std::uint64_t failed = 0;     ///< in a row, all of them
  friend bool operator==(const HealthState&, const HealthState&) = default;
};
/// Before each check. False, and kTooLate: there is no further one.
bool begin_check(const HealthRules& rules, HealthState& state);
/// After the check that was begun.
void end_check(const HealthRules& rules, HealthState& state, bool passed);

/// What one check found.
struct CheckOutcome {
  double time = 0;  ///< Unix seconds, of its end
  bool passed = false;
  Duration took{};
  std::string words;  ///< "answered 500 Internal Server Error"; one line
};

/// What `<run>/health` holds.
struct HealthRecord {
  static constexpr std::size_t kMostOutcomes = 5;

  ProcessId sandbox;  ///< the container's PID 1: another one is another task's life
  HealthState state;
  std::vector<CheckOutcome> last;  ///< at most kMostOutcomes, the oldest first

  void add(CheckOutcome outcome);
};

std::string encode_health(const HealthRecord& record);
/// Errors: EBADMSG, with the words what does not fit.
Result<HealthRecord> decode_health(std::string_view bytes);
Result<HealthRecord> read_health(const std::string& run_folder);
Result<void> write_health(const std::string& run_folder, const HealthRecord& record);

template <class Coder>
void code(Coder& c, HealthState& v) {
  c(v.health, v.checks, v.successes, v.failures, v.failed);
}
template <class Coder>
void code(Coder& c, CheckOutcome& v) {
  c(v.time, v.passed, v.took, v.words);
}
template <class Coder>
void code(Coder& c, HealthRecord& v) {
  c(v.sandbox, v.state, v.last);
}

}  // namespace dewar
