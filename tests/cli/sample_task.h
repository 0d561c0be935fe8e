// A task in the middle of its life, for everything that shows one: p "fetch" has succeeded in its second run, "serve"
// runs, "report" has not begun.
#pragma once

#include "agent/cli/run_view.h"
#include "thermos/history.h"

namespace dewar {

constexpr double kStart = 1767323045.0;  // 2026-01-02T03:04:05Z

inline RunView sample_view() {
  return {.task_id = "web-1",
          .name = "web",
          .sandbox = "/w/sandbox",
          .log_folder = "/w/.logs",
          .ports = {{"http", 31000}},
          .limits = {.cpu = 1.5, .cpu_quota = 0, .memory = 128u << 20, .swap = 0, .pids = 50},
          .disk = {.bytes = 4u << 20, .inodes = 0, .logs = 1u << 20},
          .disk_backend = "counting",
          .processes = {{"fetch"}, {"serve"}, {"report", true, false}}};
}

inline TaskRecord task_record(TaskState state, double time, const std::string& reason = "") {
  TaskRecord record;
  record.state = state;
  record.timestamp_ms = static_cast<std::int64_t>(time * 1e3);
  if (!reason.empty()) record.reason = reason;
  return record;
}

inline ProcessRecord process_record(const std::string& process, ProcessState state) {
  ProcessRecord record;
  record.process = process;
  record.state = state;
  return record;
}

inline RunHistory ended(ProcessState state, int code, double from, double to) {
  RunHistory run;
  run.state = state;
  run.return_code = code;
  run.fork_time = from, run.start_time = from, run.stop_time = to;
  run.usage.cpu_user_us = 250000;
  run.usage.cpu_system_us = 150000;
  run.usage.memory_peak_bytes = 12u << 20;
  return run;
}

inline TaskHistory sample_history() {
  TaskHistory history;
  history.statuses.push_back(task_record(TaskState::kActive, kStart));
  history.processes["fetch"] = {ended(ProcessState::kFailed, 22, kStart + 1, kStart + 2),
                                ended(ProcessState::kSuccess, 0, kStart + 7, kStart + 8)};
  RunHistory serve;
  serve.state = ProcessState::kRunning;
  serve.pid = 4711;
  serve.fork_time = kStart + 9, serve.start_time = kStart + 9;
  serve.cpu = 0.25;
  serve.usage.memory_bytes = 3u << 20;
  history.processes["serve"] = {serve};
  return history;
}

}  // namespace dewar
