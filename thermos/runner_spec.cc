#include "thermos/runner_spec.h"

#include "base/document.h"
#include "base/files.h"
#include "thermos/plan.h"

namespace dewar {
namespace {

constexpr DocumentKind kDocument{"DWRS", 4, "runner spec"};

Failure unfit(const std::string& words) { return fail(std::errc::bad_message, "runner spec: " + words); }

bool sensible(const HealthCheck& check, const std::map<std::string, std::int64_t>& ports) {
  return check.initial_interval >= Duration{} && check.interval > Duration{} && check.timeout > Duration{} &&
         (check.shell_command || ports.contains("health"));
}

/// Values that fit the wire but no meaning.
Result<void> check(const RunnerSpec& spec) {
  bool sane = spec.sandbox.network <= Network::kBridge && sensible(spec.plan.logger);
  for (const ProcessSpec& process : spec.plan.processes)
    sane = sane && (!process.logger || sensible(*process.logger)) && process.min_duration >= Duration{} &&
           process.time_limit >= Duration{} && (process.fetch.empty() || !spec.fetcher.empty());
  if (spec.health) sane = sane && sensible(*spec.health, spec.ports);
  if (!sane || spec.plan.finalization_wait < Duration{} || spec.plan.time_limit < Duration{})
    return unfit("it holds a value that has no meaning");
  if (const auto checked = check_plan(spec.plan); !checked) return unfit(checked.error().context);
  return {};
}

}  // namespace

std::string fetch_file(const std::string& run_folder, const std::string& process, const std::string& what) {
  return run_folder + "/fetch/" + process + "." + what;
}

std::string host_log_counter(const RunnerSpec& spec) {
  std::string folder = spec.run_folder;
  for (int level = 0; level < 8; ++level) folder = parent_of(folder);  // see RunnerSpec::run_folder
  return folder + "/log.used";
}

std::vector<std::string> disk_folders(const RunnerSpec& spec) {
  std::vector<std::string> folders{spec.run_folder + "/sandbox"};
  if (spec.sandbox.root.writable) folders.push_back(spec.run_folder + "/layer");
  return folders;
}

std::string encode_runner_spec(const RunnerSpec& spec) { return encode_document(kDocument, spec); }

Result<RunnerSpec> decode_runner_spec(std::string_view bytes) {
  RunnerSpec spec = DEWAR_TRY(decode_document<RunnerSpec>(kDocument, bytes));
  DEWAR_TRY(check(spec));
  return spec;
}

Result<RunnerSpec> read_runner_spec(const std::string& run_folder) {
  const std::string file = run_folder + "/runner.spec";
  const std::string bytes = DEWAR_TRY(read_file(file));
  // It is not worth a wait for the disk at each start: what a host has lost, it does not run any more either.
  if (bytes.empty())
    return fail(std::errc::bad_message, file + ": it is empty, since the host went down when the task had hardly " +
                                            "started; choose another task id, or remove " + run_folder);
  return decode_runner_spec(bytes).context(file);
}

}  // namespace dewar
