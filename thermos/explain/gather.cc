#include "thermos/explain/gather.h"

#include <cstdlib>
#include <sstream>

#include "base/files.h"
#include "base/process.h"
#include "thermos/checkpoint.h"
#include "thermos/control.h"
#include "thermos/events.h"
#include "thermos/limits_text.h"
#include "thermos/runner_spec.h"
#include "thermos/usage_ring.h"

namespace dewar {
namespace {

constexpr std::size_t kTail = 8192;  // of stderr
constexpr std::size_t kMostStatus = 1u << 20;

/// What was held in the last minute before the newest sample; none if nothing was sampled.
std::vector<MemoryPoint> last_minute(const std::string& file) {
  std::vector<MemoryPoint> points;
  const auto history = read_usage_history(file, std::chrono::minutes(1));
  if (!history) return points;
  for (const UsagePoint& point : history->points)
    if (point.usage.memory_bytes) points.push_back({point.time, static_cast<std::uint64_t>(*point.usage.memory_bytes)});
  return points;
}

RunEvidence gather_run(const std::string& run_folder, const std::string& process, int run) {
  const std::string number = std::to_string(run);
  RunEvidence evidence;
  if (const auto status = read_file(run_folder + "/attempts/" + process + "." + number, kMostStatus))
    evidence.status = last_status(*status);
  if (auto tail = read_tail(run_folder + "/.logs/" + process + "/" + number + "/stderr", kTail))
    evidence.stderr_tail = std::move(tail).take();
  evidence.memory = last_minute(usage_file(run_folder, process, run));
  return evidence;
}

void read_moment(const std::string& text, Evidence& evidence) {
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos) continue;
    const std::string name = word.substr(0, equals), value = word.substr(equals + 1);
    if (name == "now") evidence.now = std::strtod(value.c_str(), nullptr);
    if (name == "runner") evidence.runner_lives = value == "1";
    if (name == "boot") evidence.boot_id = value;
  }
}

}  // namespace

std::string encode_moment(const Evidence& evidence) {
  return "now=" + std::to_string(evidence.now) + " runner=" + (evidence.runner_lives ? "1" : "0") +
         " boot=" + evidence.boot_id + "\n";
}

Result<Evidence> gather_evidence(const std::string& run_folder) {
  RunnerSpec spec = DEWAR_TRY(read_runner_spec(run_folder));
  Evidence evidence;
  evidence.task_id = spec.task_id;
  evidence.history = DEWAR_TRY(read_history(run_folder + "/checkpoints", spec.task_id));
  for (const EventRecord& event : read_events(run_folder)) (void)!evidence.history.apply(event);
  evidence.path = std::move(spec.path);
  evidence.plan = std::move(spec.plan);
  evidence.sandbox = std::move(spec.sandbox);
  const auto limits = read_limits(run_folder);
  evidence.limits = limits ? *limits : evidence.sandbox.limits;
  for (const auto& [process, runs] : evidence.history.processes)
    for (std::size_t run = 0; run < runs.size(); ++run)
      evidence.runs[{process, static_cast<int>(run)}] = gather_run(run_folder, process, static_cast<int>(run));
  evidence.memory = last_minute(usage_file(run_folder));
  if (const auto moment = read_file(run_folder + "/bundle/moment", 4096)) {
    read_moment(*moment, evidence);
    return evidence;
  }
  evidence.runner_lives = static_cast<bool>(RunnerClient::connect(run_folder));
  if (const auto boot = boot_id()) evidence.boot_id = *boot;
  evidence.now = SystemClock().wall();
  return evidence;
}

}  // namespace dewar
