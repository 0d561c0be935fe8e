// The words for health checks: in events, records and explanations.
#pragma once

#include <map>
#include <string>

#include "isolation/attempt_status.h"
#include "thermos/explain/card.h"
#include "thermos/explain/death.h"
#include "thermos/health.h"

namespace dewar {

/// "GET /health on port 31337", "'pg_isready -q'"; one line.
std::string check_name(const HealthCheck& check, std::int64_t port);

/// What a check that has ended has come to. `output` is the beginning of what it wrote, any bytes: of a shell check the
/// first line is told. `late`: it was killed, because it took longer than it may.
CheckOutcome outcome_of(const HealthCheck& check, const AttemptStatus& status, std::string_view output, bool late);
/// "GET /health on port 31337 answered 500 Internal Server Error"
std::string outcome_words(const HealthCheck& check, std::int64_t port, const CheckOutcome& outcome);

/// "healthy: 2 checks in a row have passed"
std::string healthy_words(const HealthState& state);
/// "unhealthy, 3 checks in a row failed: GET /health on port 31337 answered 500 Internal Server Error"
std::string unhealthy_words(const HealthCheck& check, std::int64_t port, const HealthRecord& record);

/// The evidence of an unhealthy task (docs/formats.md), and its card.
Details health_details(const HealthCheck& check, std::int64_t port, const HealthRecord& record);
Card health_card(const Details& details);

}  // namespace dewar
