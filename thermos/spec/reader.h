// A person's task file, or the JSON that Aurora's executor receives, becomes a TaskSpec, or a list of everything that
// is wrong with it, each with its place.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "thermos/spec/complaint.h"
#include "thermos/spec/task_spec.h"

namespace dewar {

struct TaskReading {
  std::optional<TaskSpec> spec;       ///< only when there is no complaint but warnings
  std::vector<Complaint> complaints;  ///< in the order of the file
};

/// Reads YAML or JSON text and checks everything: types, unknown keys, names, orders, cycles, templates, limits. The
/// file's own `vars:` are filled in; {{thermos.*}} and {{mesos.*}} stay. Never throws; bounded in time and memory for
/// any input.
TaskReading read_task(const std::string& text);

/// "web.yaml:3:17: error: …" with the source line and a caret, for each complaint; ends with a newline.
std::string show_complaints(const std::string& file, const std::string& text, const std::vector<Complaint>& complaints);

}  // namespace dewar
