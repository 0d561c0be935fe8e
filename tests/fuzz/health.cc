// <run>/health, which may come out of a stranger's bundle: whatever its bytes, what is accepted is written back as it
// was, can be counted on from there, and told. The body alone is tried too, or no change would get past the checksum.
#include "thermos/health.h"

#include <cstdlib>

#include "base/document.h"
#include "thermos/explain/health_words.h"

namespace {

void use(const dewar::Result<dewar::HealthRecord>& read) {
  if (!read) return;
  dewar::HealthRecord record = *read;
  const std::string written = dewar::encode_health(record);
  const auto again = dewar::decode_health(written);
  if (!again || dewar::encode_health(*again) != written) std::abort();
  dewar::HealthCheck check;
  check.shell_command = "true";
  if (dewar::health_card(dewar::health_details(check, 0, record)).rows.size() != 4 + record.last.size()) std::abort();
  const dewar::HealthRules rules = dewar::rules_of(check);
  const bool passed = !record.last.empty() && record.last.back().passed;
  if (dewar::begin_check(rules, record.state)) dewar::end_check(rules, record.state, passed);
  record.add({});
  if (!dewar::decode_health(dewar::encode_health(record))) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  use(dewar::decode_health(bytes));
  use(dewar::decode_health(dewar::wrap_document({"DWHC", 1, "health"}, bytes)));
  return 0;
}
