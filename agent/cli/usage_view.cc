#include "agent/cli/usage_view.h"

#include <string>

namespace dewar {

double seconds_of(Amount microseconds) { return static_cast<double>(microseconds.value_or(0)) / 1e6; }

void put_usage(JsonWriter& json, const Usage& usage) {
  for (const UsageField& field : kUsageFields) {
    const Amount amount = usage.*field.value;
    std::string name(field.name);
    const bool time = name.ends_with("_us");
    if (time) name.replace(name.size() - 2, 2, "seconds");
    if (!amount) {
      json.key(name).null();
    } else {
      time ? json.field(name, seconds_of(amount)) : json.field(name, *amount);
    }
  }
}

}  // namespace dewar
