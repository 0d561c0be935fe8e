#include "thermos/history.h"

namespace dewar {
namespace {

Failure refuse(const std::string& words) { return fail(std::errc::protocol_error, words); }

std::string show(ProcessState state) { return std::string(to_string(state)); }

template <class T>
void keep(std::optional<T>& held, const std::optional<T>& told) {
  if (told) held = told;
}

Result<void> apply_task(TaskHistory& history, const TaskRecord& record) {
  if (!may_follow(history.state(), record.state)) {
    return refuse("the task cannot go from " + std::string(to_string(history.state())) + " to " +
                  std::string(to_string(record.state)));
  }
  history.statuses.push_back(record);
  if (record.usage) history.usage = *record.usage;
  if (record.limits) history.limits = *record.limits;
  if (is_terminal(record.state)) history.cpu = 0;
  return {};
}

Result<void> apply_process(TaskHistory& history, const ProcessRecord& record) {
  const auto known = history.processes.find(record.process);
  const RunHistory* last = known == history.processes.end() ? nullptr : &known->second.back();
  const std::int64_t expected = last ? last->seq + 1 : 0;
  if (record.seq != expected) {
    return refuse("process '" + record.process + "': sequence number " + std::to_string(record.seq) + " where " +
                  std::to_string(expected) + " should be");
  }
  const bool begins = record.state == ProcessState::kWaiting;
  const bool legal = begins ? !last || is_terminal(last->state) : last && may_move(last->state, record.state);
  if (!legal) {
    return refuse("process '" + record.process + "' cannot go from " + (last ? show(last->state) : "nothing") + " to " +
                  show(record.state));
  }
  auto& runs = history.processes[record.process];
  if (begins) runs.emplace_back();
  RunHistory& run = runs.back();
  run.state = record.state;
  run.seq = record.seq;
  keep(run.coordinator_pid, record.coordinator_pid);
  keep(run.coordinator_start, record.coordinator_start);
  keep(run.fork_time, record.fork_time);
  keep(run.start_time, record.start_time);
  keep(run.pid, record.pid);
  keep(run.stop_time, record.stop_time);
  keep(run.return_code, record.return_code);
  if (record.reason) run.reason = *record.reason;
  if (record.usage) run.usage = *record.usage;
  if (record.limits) run.limits = *record.limits;
  if (is_terminal(run.state)) run.cpu = 0, run.progress.clear();
  return {};
}

void apply_event(TaskHistory& history, const EventRecord& event) {
  if (event.kind == kOutputEvent)
    std::erase_if(history.events, [&](const EventRecord& before) {
      return before.kind == kOutputEvent && before.process == event.process && before.run == event.run;
    });
  if (event.kind != kProgressEvent) {
    if (history.events.size() < TaskHistory::kMaxEvents) history.events.push_back(event);
    return;
  }
  const auto known = history.processes.find(event.process);
  const auto run = static_cast<std::size_t>(event.run);
  if (known == history.processes.end() || event.run < 0 || run >= known->second.size()) return;
  if (!is_terminal(known->second[run].state)) known->second[run].progress = event.words;
}

Result<void> apply_sample(TaskHistory& history, const SampleRecord& sample) {
  if (sample.process.empty()) {
    if (history.terminal()) return {};
    history.usage = sample.usage;
    history.cpu = sample.cpu;
    return {};
  }
  const auto known = history.processes.find(sample.process);
  if (known == history.processes.end() || sample.run < 0 ||
      static_cast<std::size_t>(sample.run) >= known->second.size()) {
    return refuse("a sample of run " + std::to_string(sample.run) + " of process '" + sample.process +
                  "', which is not known");
  }
  RunHistory& run = known->second[static_cast<std::size_t>(sample.run)];
  if (is_terminal(run.state)) return {};  // the final numbers stand
  run.usage = sample.usage;
  run.cpu = sample.cpu;
  return {};
}

}  // namespace

Result<void> TaskHistory::apply(const Record& record) {
  if (const auto* told = std::get_if<HeaderRecord>(&record)) {
    if (header) return refuse("a second header");
    header = *told;
    return {};
  }
  if (const auto* told = std::get_if<ProcessRecord>(&record)) return apply_process(*this, *told);
  if (const auto* told = std::get_if<TaskRecord>(&record)) return apply_task(*this, *told);
  if (const auto* told = std::get_if<EventRecord>(&record)) {
    apply_event(*this, *told);
    return {};
  }
  return apply_sample(*this, std::get<SampleRecord>(record));
}

}  // namespace dewar
