#include "agent/cli/bundle/contents.h"

#include <sys/utsname.h>

#include <algorithm>
#include <vector>

#include "agent/cli/bundle/log_tail.h"
#include "agent/cli/explain_view.h"
#include "agent/cli/plan_view.h"
#include "agent/cli/report.h"
#include "agent/cli/run_view.h"
#include "base/clock.h"
#include "base/files.h"
#include "base/json_writer.h"
#include "base/process.h"
#include "base/units.h"
#include "isolation/attempt_status.h"
#include "isolation/kernel_log.h"
#include "thermos/checkpoint.h"
#include "thermos/explain/explain.h"
#include "thermos/explain/gather.h"
#include "thermos/health.h"
#include "thermos/secrets.h"

namespace dewar {
namespace {

constexpr std::size_t kMostText = 4u << 20;    // of the runner's own words
constexpr std::size_t kMostRing = 64u << 20;   // of one file of measurements
constexpr std::size_t kMostKernel = 2u << 20;  // of the kernel's log about the task

void mask_text(const Secrets& secrets, std::string& text) { text = secrets.masked(text); }
void mask_text(const Secrets& secrets, std::optional<std::string>& text) {
  if (text) mask_text(secrets, *text);
}

/// Each record anew, since their checksums cover what is masked.
std::string masked_stream(const std::string& stream, const Secrets& secrets) {
  std::string out;
  for (Record& record : replay(stream).records) {
    if (auto* process = std::get_if<ProcessRecord>(&record)) mask_text(secrets, process->reason);
    if (auto* task = std::get_if<TaskRecord>(&record)) mask_text(secrets, task->reason);
    if (auto* event = std::get_if<EventRecord>(&record)) {
      mask_text(secrets, event->words);
      for (auto& [name, value] : event->details) mask_text(secrets, value);
    }
    out += framed(encode_record(record));
  }
  return out;
}

std::string masked_status(const std::string& content, const Secrets& secrets) {
  auto status = last_status(content);
  if (!status) return {};
  mask_text(secrets, status->detail);
  mask_text(secrets, status->log_error);
  return encode_status(*status);
}

std::string masked_health(HealthRecord record, const Secrets& secrets) {
  for (CheckOutcome& outcome : record.last) mask_text(secrets, outcome.words);
  return encode_health(record);
}

/// What is written into the bundle, file by file.
class Contents {
 public:
  Contents(const std::string& run_folder, const BundleOptions& options, const TakeFile& take, RunnerSpec spec)
      : run_folder_(run_folder),
        options_(options),
        take_(take),
        secrets_(secrets_of(spec)),
        spec_(masked(std::move(spec), secrets_)) {}

  Result<void> write() {
    DEWAR_TRY(put("runner.spec", encode_runner_spec(spec_)));
    DEWAR_TRY(put_records());
    for (const char* name : {"limits", "runner.log", "stdout", "stderr"}) DEWAR_TRY(put_text(name, kMostText));
    if (auto health = read_health(run_folder_))
      DEWAR_TRY(put("health", masked_health(std::move(health).take(), secrets_)));
    DEWAR_TRY(put_folder("attempts", [&](const std::string& bytes) { return masked_status(bytes, secrets_); }));
    DEWAR_TRY(put_folder("usage", [](const std::string& bytes) { return bytes; }));
    DEWAR_TRY(put_logs());
    DEWAR_TRY(put_views());
    return put("bundle/manifest.json", manifest());
  }

 private:
  Result<void> put(const std::string& path, const std::string& bytes) {
    files_.emplace_back(path, bytes.size());
    return take_(spec_.task_id + "/" + path, bytes);
  }

  Result<void> put_text(const std::string& path, std::size_t most) {
    const auto text = read_tail(run_folder_ + "/" + path, most);
    return text ? put(path, secrets_.masked(*text)) : Result<void>{};
  }

  template <class Mask>
  Result<void> put_folder(const std::string& folder, Mask mask) {
    const auto names = list_dir(run_folder_ + "/" + folder);
    for (const std::string& name : names ? *names : std::vector<std::string>{}) {
      const std::string path = folder + "/" + name;
      const auto bytes = read_tail(run_folder_ + "/" + path, kMostRing);
      if (bytes) DEWAR_TRY(put(path, mask(*bytes)));
    }
    return {};
  }

  Result<void> put_records() {
    const auto mask = [&](const std::string& bytes) { return masked_stream(bytes, secrets_); };
    for (const char* stage : {"active", "finished"})
      DEWAR_TRY(
          put_folder("checkpoints/tasks/" + std::string(stage), [&](const std::string&) { return spec_.task_json; }));
    DEWAR_TRY(put_folder("checkpoints/checkpoints/" + spec_.task_id, mask));
    const auto events = read_tail(run_folder_ + "/events", kMostText);
    return events ? put("events", mask(*events)) : Result<void>{};
  }

  Result<void> put_logs() {
    const std::string logs = run_folder_ + "/.logs";
    const auto processes = list_dir(logs);
    for (const std::string& process : processes ? *processes : std::vector<std::string>{}) {
      const auto runs = list_dir(logs + "/" + process);
      for (const std::string& run : runs ? *runs : std::vector<std::string>{}) {
        const std::string folder = process + "/" + run;
        auto tail = read_log_tail(logs + "/" + folder, options_.log_bytes, secrets_);
        if (!tail) continue;
        DEWAR_TRY(put(".logs/" + folder + "/stdout", tail->out));
        DEWAR_TRY(put(".logs/" + folder + "/stderr", tail->err));
        if (!tail->index.empty()) DEWAR_TRY(put(".logs/" + folder + "/index", tail->index));
      }
    }
    return {};
  }

  /// What programs and people read without Dewar at hand.
  Result<void> put_views() {
    DEWAR_TRY(put("bundle/task.json", indented(spec_.task_json) + "\n"));
    DEWAR_TRY(put("bundle/plan.txt", drawn_plan()));
    const Evidence evidence = DEWAR_TRY(gather_evidence(run_folder_));
    DEWAR_TRY(put("bundle/moment", encode_moment(evidence)));
    DEWAR_TRY(put("bundle/explain.json", secrets_.masked(explanation_json(explain_task(evidence)) + "\n")));
    RunView view = view_of(spec_);
    view.limits = evidence.limits;
    DEWAR_TRY(put("bundle/report.json", secrets_.masked(report_json(view, evidence.history, true) + "\n")));
    if (!options_.doctor.empty()) DEWAR_TRY(put("bundle/doctor.json", secrets_.masked(options_.doctor)));
    return put("bundle/kernel.log", secrets_.masked(kernel_lines(evidence.history)));
  }

  std::string drawn_plan() const {
    TaskSpec task;
    task.name = spec_.task_name;
    task.processes = spec_.plan.processes;
    task.constraints = spec_.plan.constraints;
    return secrets_.masked(draw_plan(task, Paint{.color = false, .utf8 = true}));
  }

  /// The kernel's lines that name the container, or one of the pids that the task's processes had.
  std::string kernel_lines(const TaskHistory& history) const {
    std::vector<std::string> marks{spec_.container_id};
    for (const auto& [process, runs] : history.processes)
      for (const RunHistory& run : runs)
        if (run.pid)
          for (const char* form : {"[", " pid=", ",pid=", " process "})
            marks.push_back(form + std::to_string(*run.pid) + (*form == '[' ? "]" : ""));
    const auto log = read_kernel_log();
    std::string lines;
    for (std::size_t at = 0; log && at < log->size() && lines.size() < kMostKernel;) {
      const std::size_t end = std::min(log->find('\n', at), log->size());
      const std::string_view line = std::string_view(*log).substr(at, end - at);
      const auto names = [&](const std::string& mark) { return line.find(mark) != std::string_view::npos; };
      if (std::ranges::any_of(marks, names)) lines.append(line) += '\n';
      at = end + 1;
    }
    return lines;
  }

  std::string manifest() const {
    utsname host{};
    ::uname(&host);
    JsonWriter json(JsonWriter::Style::kPretty);
    json.begin_object().field("format", "dewar bundle").field("version", 1).field("task_id", spec_.task_id);
    json.field("made", format_rfc3339(SystemClock().wall())).field("dewar", options_.version);
    json.field("host", spec_.hostname).field("kernel", std::string(host.release) + " " + host.machine);
    json.field("log_bytes", options_.log_bytes).key("files").begin_array();
    for (const auto& [path, size] : files_) json.begin_object().field("path", path).field("size", size).end_object();
    return json.end_array().end_object().take() + "\n";
  }

  const std::string& run_folder_;
  const BundleOptions& options_;
  const TakeFile& take_;
  const Secrets secrets_;
  const RunnerSpec spec_;  ///< masked
  std::vector<std::pair<std::string, std::size_t>> files_;
};

}  // namespace

Result<void> write_contents(const std::string& run_folder, const BundleOptions& options, const TakeFile& take) {
  return Contents(run_folder, options, take, DEWAR_TRY(read_runner_spec(run_folder))).write();
}

}  // namespace dewar
