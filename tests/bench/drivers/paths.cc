// drive_paths PATH COUNT FOLDER: goes a path of ours COUNT times and nothing else, for whoever counts its instructions
// (guards_test.cc). FOLDER: empty, for what writes.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "isolation/log_index.h"
#include "isolation/seccomp/profile.h"
#include "thermos/checkpoint.h"
#include "thermos/plan.h"
#include "thermos/runner_spec.h"

namespace dewar {
namespace {

/// A chain, of processes as a task file makes them.
TaskPlan chain(int count) {
  TaskPlan plan;
  Order order;
  for (int i = 0; i < count; ++i) {
    ProcessSpec process;
    process.name = "process-" + std::to_string(i);
    process.cmdline = "exec /usr/bin/true --some-option";
    plan.processes.push_back(process);
    order.push_back(process.name);
  }
  plan.constraints.push_back(order);
  return plan;
}

/// From the first process of a chain to the end of the last.
bool walk_plan(int count, const std::string&) {
  const TaskPlan task = chain(count);
  if (!check_plan(task)) return false;
  Plan plan(task, false);
  while (!plan.complete()) {
    const auto ready = plan.ready(Time{});
    if (ready.size() != 1 || !plan.start(ready[0]) || !plan.end(ready[0], ProcessState::kSuccess, Time{})) return false;
  }
  return true;
}

/// Each process's records, written and then read again.
bool keep_records(int count, const std::string& folder) {
  const auto write = [&] {
    HeaderRecord header;
    header.task_id = "task";
    auto checkpoint = Checkpoint::open(folder, "task", "{}", false);
    if (!checkpoint || !checkpoint->append(header)) return false;
    if (!checkpoint->append(TaskRecord{})) return false;
    for (int i = 0; i < count; ++i) {
      std::int64_t seq = 0;
      for (const ProcessState state :
           {ProcessState::kWaiting, ProcessState::kForked, ProcessState::kRunning, ProcessState::kSuccess}) {
        ProcessRecord record;
        record.seq = seq++;
        record.process = "process-" + std::to_string(i);
        record.state = state;
        if (state == ProcessState::kForked) record.coordinator_pid = 1, record.fork_time = 1.0;
        if (state == ProcessState::kRunning) record.pid = 2, record.start_time = 2.0;
        if (state == ProcessState::kSuccess) record.return_code = 0, record.stop_time = 3.0;
        if (!checkpoint->append(record)) return false;
      }
    }
    return true;
  };
  const auto read = [&] {
    const auto again = Checkpoint::open(folder, "task", "{}", false);
    return again && again->history().processes.size() == static_cast<std::size_t>(count);
  };
  return write() && read();
}

bool code_spec(int count, const std::string&) {
  RunnerSpec spec;
  spec.plan = chain(count);
  const auto read = decode_runner_spec(encode_runner_spec(spec));
  return read && read->plan.processes.size() == static_cast<std::size_t>(count);
}

bool code_index(int count, const std::string&) {
  for (int i = 0; i < count; ++i) {
    IndexRecord record;
    record.position = static_cast<std::uint64_t>(i);
    const auto bytes = encode_index_record(record);
    if (decode_index_record({bytes.data(), bytes.size()}) != record) return false;
  }
  return true;
}

bool compile_filter(int count, const std::string&) {
  for (int i = 0; i < count; ++i)
    if (!compile_seccomp("default", 0)) return false;
  return true;
}

}  // namespace
}  // namespace dewar

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const int count = std::atoi(argv[2]);
  constexpr struct {
    const char* name;
    bool (*go)(int count, const std::string& folder);
  } kPaths[] = {{"plan", dewar::walk_plan},
                {"records", dewar::keep_records},
                {"spec", dewar::code_spec},
                {"index", dewar::code_index},
                {"filter", dewar::compile_filter}};
  for (const auto& path : kPaths)
    if (std::strcmp(argv[1], path.name) == 0) return path.go(count, argv[3]) ? 0 : 1;
  return 2;
}
