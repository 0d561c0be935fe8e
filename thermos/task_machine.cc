#include "thermos/task_machine.h"

#include <algorithm>
#include <cassert>
#include <csignal>
#include <optional>

#include "thermos/explain/reasons.h"
#include "thermos/plan.h"

namespace dewar {
namespace {

/// How long a run may take to end after SIGKILL; what takes longer is stuck in the kernel.
constexpr Duration kKillTimeout = std::chrono::seconds(10);

}  // namespace

struct TaskMachine::State {
  struct Live {
    int run = 0;
    Sent sent = Sent::kNothing;
  };

  State(const TaskPlan& plan, const Clock& time, TaskEffects& what) : task(plan), clock(time), effects(what) {}

  const TaskPlan& task;
  const Clock& clock;
  TaskEffects& effects;
  TaskHistory history;
  Plan regular{task, false}, finals{task, true};
  std::map<std::string, Live> live;  ///< runs that are asked for, forked or running
  TaskRecord identity;               ///< of this runner; the other fields are empty
  std::optional<Usage> usage;
  std::optional<std::string> limits;

  std::optional<TaskState> outcome;  ///< decided when CLEANING begins
  std::string reason;                ///< of the outcome
  std::optional<Time> deadline;      ///< of CLEANING and FINALIZING together
  std::optional<Time> killed_at;     ///< the leftovers were sent SIGKILL
  std::optional<Time> asked;         ///< the wake-up that is due
  bool sandbox_gone = false;
  bool going = false;      ///< from the first tick on
  bool advancing = false;  ///< step() is at work further up
  bool over = false;

  // What is written down
  void record(const Record& record);
  void record_task(TaskState state);
  ProcessRecord next_record(const std::string& process, ProcessState state) const;
  ProcessState state_of(const std::string& process) const { return history.processes.at(process).back().state; }

  // What happens next
  void advance();
  bool step();
  bool step_cleaning();
  bool step_finalizing();
  bool step_killing();
  bool launch_one(Plan& plan);
  void launch(Plan& plan, const std::string& process);
  void begin();
  void enter_cleaning();
  void decide();
  void kill_leftovers();
  void finish();
  void wake(Time when);

  // Runs
  bool healthy() const;
  bool out_of_time() const { return sandbox_gone || clock.now() >= *deadline; }
  Plan& plan_of(const std::string& process) { return regular.contains(process) ? regular : finals; }
  Live* find(const std::string& process, int run);
  void send(const std::string& process, Live& run, Sent what);
  void close(const ProcessRecord& end);
  void change_outcome(TaskState to, const std::string& why);
};

// ---- What is written down ----

void TaskMachine::State::record(const Record& record) {
  const auto fits = history.apply(record);
  assert(fits);
  if (fits) effects.record(record);
}

void TaskMachine::State::record_task(TaskState to) {
  TaskRecord record_of = identity;
  record_of.state = to;
  record_of.timestamp_ms = static_cast<std::int64_t>(clock.wall() * 1000);
  if (to == TaskState::kCleaning || to == TaskState::kFinalizing) record_of.outcome = outcome;
  if (to != TaskState::kActive && to != TaskState::kFinalizing) record_of.reason = reason;
  if (is_terminal(to)) record_of.usage = usage, record_of.limits = limits;
  record(record_of);
}

ProcessRecord TaskMachine::State::next_record(const std::string& process, ProcessState to) const {
  ProcessRecord next;
  const auto known = history.processes.find(process);
  next.seq = known == history.processes.end() ? 0 : known->second.back().seq + 1;
  next.process = process;
  next.state = to;
  return next;
}

// ---- What happens next ----

void TaskMachine::State::wake(Time when) {
  if (asked == when) return;
  asked = when;
  effects.wake_at(when);
}

/// Takes every step that can be taken now. Not from within itself: launch() may answer at once.
void TaskMachine::State::advance() {
  if (!going || advancing) return;
  advancing = true;
  while (!over && step()) continue;
  advancing = false;
}

/// One step; false: there is none until the next event.
bool TaskMachine::State::step() {
  if (killed_at) return step_killing();
  if (history.state() == TaskState::kCleaning) return step_cleaning();
  if (history.state() == TaskState::kFinalizing) return step_finalizing();
  if (!outcome && !regular.complete() && healthy()) return launch_one(regular);
  enter_cleaning();
  return true;
}

bool TaskMachine::State::step_cleaning() {
  if (out_of_time()) {
    kill_leftovers();
    return true;
  }
  if (live.empty()) {
    record_task(TaskState::kFinalizing);
    return true;
  }
  wake(*deadline);
  return false;
}

bool TaskMachine::State::step_finalizing() {
  if (!out_of_time() && !finals.complete() && !finals.deadlocked()) return launch_one(finals);
  kill_leftovers();
  return true;
}

bool TaskMachine::State::step_killing() {
  const Time give_up = *killed_at + kKillTimeout;
  if (!live.empty() && clock.now() < give_up) {
    wake(give_up);
    return false;
  }
  while (!live.empty()) {
    const std::string process = live.begin()->first;
    const bool unanswered = state_of(process) == ProcessState::kWaiting;
    ProcessRecord end = next_record(process, unanswered ? ProcessState::kFailed : ProcessState::kLost);
    end.stop_time = clock.wall();
    end.reason = "still there 10 s after SIGKILL, so how it ends is not known";
    close(end);
  }
  finish();
  return false;
}

/// Launches the first process that is ready, if there is a free place.
bool TaskMachine::State::launch_one(Plan& plan) {
  std::optional<Time> next = deadline;
  if (task.max_concurrency == 0 || plan.running() < task.max_concurrency) {
    const std::vector<std::string> ready = plan.ready(clock.now());
    if (!ready.empty()) {
      launch(plan, ready.front());
      return true;
    }
    const auto later = plan.next_ready(clock.now());
    if (later) next = next ? std::min(*next, *later) : *later;
  }
  if (next) wake(*next);
  return false;
}

void TaskMachine::State::launch(Plan& plan, const std::string& process) {
  const auto started = plan.start(process);
  assert(started);
  if (!started) return;
  const auto known = history.processes.find(process);
  const bool announced = known != history.processes.end() && known->second.back().state == ProcessState::kWaiting;
  if (!announced) record(next_record(process, ProcessState::kWaiting));
  const int run = static_cast<int>(history.processes.at(process).size()) - 1;
  live[process] = {run};
  effects.launch(process, run);
}

/// The first tick: an earlier runner's CLEANING is begun anew, its signals included.
void TaskMachine::State::begin() {
  going = true;
  if (history.state() != TaskState::kCleaning || sandbox_gone) return;
  for (auto& [process, run] : live) {
    if (state_of(process) == ProcessState::kRunning) send(process, run, Sent::kTerm);
  }
}

void TaskMachine::State::enter_cleaning() {
  if (!outcome) decide();
  if (!deadline) deadline = clock.now() + task.finalization_wait;
  record_task(TaskState::kCleaning);
  if (sandbox_gone) return;
  for (auto& [process, run] : live) {
    if (state_of(process) == ProcessState::kRunning) send(process, run, Sent::kTerm);
  }
}

void TaskMachine::State::decide() {
  outcome = healthy() ? TaskState::kSuccess : TaskState::kFailed;
  reason = reason_of_outcome(history, task, regular, *outcome == TaskState::kSuccess);
}

void TaskMachine::State::kill_leftovers() {
  killed_at = clock.now();
  for (auto& [process, run] : live) {
    if (state_of(process) != ProcessState::kWaiting) send(process, run, Sent::kKill);
  }
}

void TaskMachine::State::finish() {
  for (const auto& [process, runs] : history.processes) {
    if (runs.back().state != ProcessState::kWaiting) continue;
    ProcessRecord end = next_record(process, ProcessState::kFailed);
    end.stop_time = clock.wall();
    end.reason = "not started: the task ended first";
    record(end);
  }
  reason += reason_of_finals(history, task, finals);
  record_task(*outcome);
  over = true;
  effects.finished(*outcome);
}

// ---- Runs ----

bool TaskMachine::State::healthy() const {
  return !regular.deadlocked() && (task.max_failures == 0 || regular.failed().size() < task.max_failures);
}

TaskMachine::State::Live* TaskMachine::State::find(const std::string& process, int run) {
  const auto found = live.find(process);
  return over || found == live.end() || found->second.run != run ? nullptr : &found->second;
}

void TaskMachine::State::send(const std::string& process, Live& run, Sent what) {
  if (!sandbox_gone) run.sent = what;  // what died with its sandbox did not die of this
  effects.signal(process, run.run, what == Sent::kKill ? SIGKILL : SIGTERM);
}

/// The end of a living run.
void TaskMachine::State::close(const ProcessRecord& end) {
  record(end);
  live.erase(end.process);
  const auto ended = plan_of(end.process).end(end.process, end.state, clock.now());
  assert(ended);
  (void)ended;
}

void TaskMachine::State::change_outcome(TaskState to, const std::string& why) {
  const bool known = outcome == to;
  outcome = to;
  reason = why;
  // A runner that takes over from here must know it too.
  if (!known && history.state() != TaskState::kActive) record_task(history.state());
}

// ---- The machine ----

TaskMachine::TaskMachine(const TaskPlan& plan, const Clock& clock, TaskEffects& effects)
    : state_(std::make_unique<State>(plan, clock, effects)) {}

TaskMachine::~TaskMachine() = default;

Result<void> TaskMachine::resume(const TaskHistory& history) {
  State& s = *state_;
  if (history.terminal()) {
    return dewar::fail(std::errc::invalid_argument, "the task has ended: " + std::string(to_string(history.state())));
  }
  const Time now = s.clock.now();
  for (const auto& [process, runs] : history.processes) {
    DEWAR_TRY(s.plan_of(process).restore(process, runs, now));
    const RunHistory& last = runs.back();
    if (last.state == ProcessState::kForked || last.state == ProcessState::kRunning) {
      s.live[process] = {static_cast<int>(runs.size()) - 1};
    }
  }
  DEWAR_TRY(s.regular.check_order());
  DEWAR_TRY(s.finals.check_order());
  s.history = history;
  for (const TaskRecord& status : history.statuses) {
    if (status.outcome) s.outcome = status.outcome;
    if (status.reason) s.reason = *status.reason;
  }
  if (!s.outcome && history.state() != TaskState::kActive) s.decide();
  return {};
}

void TaskMachine::start(const HeaderRecord& header, pid_t runner_pid, uid_t runner_uid, const std::string& boot_id) {
  State& s = *state_;
  s.identity.runner_pid = runner_pid;
  s.identity.runner_uid = static_cast<std::int32_t>(runner_uid);
  s.identity.boot_id = boot_id;
  if (s.history.state() != TaskState::kActive) s.deadline = s.clock.now() + s.task.finalization_wait;
  s.record_task(s.history.state());
  if (!s.history.header) s.record(header);
  s.wake(s.clock.now());
}

void TaskMachine::forked(const std::string& process, int run, const ProcessId& launcher) {
  State& s = *state_;
  State::Live* live = s.find(process, run);
  if (!live || s.state_of(process) != ProcessState::kWaiting) return;
  ProcessRecord record = s.next_record(process, ProcessState::kForked);
  record.coordinator_pid = launcher.pid;
  record.coordinator_start = launcher.start_ticks;
  record.fork_time = s.clock.wall();
  s.record(record);
  if (s.killed_at) s.send(process, *live, Sent::kKill);
}

void TaskMachine::refused(const std::string& process, int run, const std::string& reason, double stop_time) {
  State& s = *state_;
  if (!s.find(process, run)) return;
  ProcessRecord record = s.next_record(process, ProcessState::kFailed);
  record.stop_time = stop_time;
  record.reason = reason;
  s.close(record);
  s.advance();
}

void TaskMachine::running(const std::string& process, int run, pid_t pid, double start_time) {
  State& s = *state_;
  State::Live* live = s.find(process, run);
  if (!live || s.state_of(process) != ProcessState::kForked) return;
  ProcessRecord record = s.next_record(process, ProcessState::kRunning);
  record.pid = pid;
  record.start_time = start_time;
  s.record(record);
  if (!s.going || s.sandbox_gone) return;
  // What was sent while the process was being made may have missed it.
  if (s.killed_at) {
    s.send(process, *live, Sent::kKill);
  } else if (s.history.state() == TaskState::kCleaning) {
    s.send(process, *live, Sent::kTerm);
  }
}

void TaskMachine::ended(const std::string& process, int run, const RunEnd& end) {
  State& s = *state_;
  const State::Live* live = s.find(process, run);
  if (!live) return;
  const bool ran = s.state_of(process) == ProcessState::kRunning;
  ProcessState how = ProcessState::kLost;
  if (s.state_of(process) == ProcessState::kWaiting) {
    how = ProcessState::kFailed;
  } else if (end.kind == RunEnd::Kind::kExited && (ran || end.return_code != 0)) {
    how = end.failed && ran      ? ProcessState::kFailed
          : end.return_code == 0 ? ProcessState::kSuccess
          : end.return_code > 0  ? ProcessState::kFailed
                                 : ProcessState::kKilled;
  }
  ProcessRecord record = s.next_record(process, how);
  record.stop_time = end.stop_time;
  record.usage = end.usage;
  if (!end.limits.empty()) record.limits = end.limits;
  if (how != ProcessState::kLost) record.return_code = end.return_code;
  // Thermos writes -1 for what it killed itself.
  if (how == ProcessState::kKilled && live->sent == Sent::kKill && end.return_code == -SIGKILL) record.return_code = -1;
  if (std::string words = reason_of_end(end, live->sent); !words.empty()) record.reason = std::move(words);
  s.close(record);
  s.advance();
}

void TaskMachine::kill(Duration wait, TaskState outcome, const std::string& reason) {
  State& s = *state_;
  if (s.over) return;
  const Time until = s.clock.now() + wait;
  s.deadline = s.deadline ? std::min(*s.deadline, until) : until;
  s.change_outcome(outcome, reason);
  s.advance();
}

void TaskMachine::fail(const std::string& reason) {
  State& s = *state_;
  if (s.over || (s.outcome && s.outcome != TaskState::kSuccess)) return;
  s.change_outcome(TaskState::kFailed, reason);
  s.advance();
}

void TaskMachine::sandbox_lost(const std::string& reason) {
  State& s = *state_;
  if (s.over || s.sandbox_gone) return;
  s.sandbox_gone = true;
  if (!s.outcome) s.change_outcome(TaskState::kLost, reason);
  s.advance();
}

void TaskMachine::tick() {
  State& s = *state_;
  s.asked.reset();
  if (!s.going) s.begin();
  s.advance();
}

const TaskHistory& TaskMachine::history() const { return state_->history; }

void TaskMachine::set_usage(const Usage& usage, const std::string& limits) {
  state_->usage = usage;
  if (!limits.empty()) state_->limits = limits;
}

}  // namespace dewar
