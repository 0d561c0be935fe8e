// Any bytes as a task file. What the reader accepts must survive everything that is done with a task later.
#include "thermos/spec/reader.h"

#include <cstdlib>

#include "thermos/spec/bind.h"

namespace {

void demand(bool truth) {
  if (!truth) std::abort();
}

void use(const dewar::TaskSpec& spec) {
  demand(!spec.processes.empty());
  const dewar::Graph graph = dewar::graph_of(spec);
  std::size_t shown = graph.final.size();
  for (const auto& level : graph.levels) shown += level.size();
  demand(shown == spec.processes.size());
  const std::string json = dewar::task_json(spec);
  const dewar::TaskReading again = dewar::read_task(json);
  demand(again.spec && dewar::task_json(*again.spec) == json);

  dewar::Bindings bindings{.task_id = "id", .user = "nobody", .hostname = "host", .instance = 0, .ports = {}};
  for (const std::string& port : spec.ports) bindings.ports[port] = 31000;
  const auto bound = dewar::bind(spec, bindings);
  if (bound) dewar::task_json(*bound);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const dewar::TaskReading reading = dewar::read_task(text);
  bool error = false;
  for (const dewar::Complaint& complaint : reading.complaints) error |= !complaint.warning;
  demand(error == !reading.spec.has_value());
  dewar::show_complaints("task.yaml", text, reading.complaints);
  if (reading.spec) use(*reading.spec);
  return 0;
}
