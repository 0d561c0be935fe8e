// A task whose processes are simulated, on a clock that only tests turn: what the kernel, the launchers and the
// runner's loop are to a TaskMachine. It survives its machine, so a runner's death can be played at any record.
#pragma once

#include <gtest/gtest.h>

#include <csignal>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "thermos/plan.h"
#include "thermos/task_machine.h"

namespace dewar::testing {

using std::chrono::milliseconds;
using std::chrono::seconds;

class ManualClock final : public Clock {
 public:
  Time now() const override { return now_; }
  double wall() const override { return 1.7e9 + std::chrono::duration<double>(now_.time_since_epoch()).count(); }
  void advance_to(Time when) { now_ = std::max(now_, when); }

 private:
  Time now_{seconds(1000)};
};

/// How one run goes.
struct Behaviour {
  int code = 0;  ///< as RunEnd::return_code
  Duration takes = seconds(1);
  std::optional<int> on_term = -SIGTERM;  ///< how it ends on SIGTERM; nothing: it takes no notice
  Duration term_takes{};                  ///< and how long that takes
  int on_kill = -SIGKILL;                 ///< how it ends on SIGKILL, if it is not ending already
  bool immortal = false;                  ///< stuck in the kernel: SIGKILL does nothing
  bool lost = false;                      ///< its launcher dies with it
  std::string refusal{};                  ///< not empty: it cannot be launched
  bool refused_late = false;              ///< the launcher says so, after FORKED
  Duration exec_after{};                  ///< from FORKED to RUNNING
  std::string reason{};                   ///< told with its end
  bool failed = false;                    ///< as RunEnd::failed
};

/// A process of a plan, with the scenarios' min_duration of a second.
inline ProcessSpec process(const std::string& name, const std::function<void(ProcessSpec&)>& change = {}) {
  ProcessSpec spec;
  spec.name = name;
  spec.cmdline = "true";
  spec.min_duration = seconds(1);
  if (change) change(spec);
  return spec;
}
inline void final(ProcessSpec& spec) { spec.final = true; }
inline void ephemeral(ProcessSpec& spec) { spec.ephemeral = true; }
inline std::function<void(ProcessSpec&)> tries(std::uint32_t max_failures) {
  return [max_failures](ProcessSpec& spec) { spec.max_failures = max_failures; };
}

inline HeaderRecord header() {
  HeaderRecord record;
  record.task_id = "t";
  return record;
}

inline TaskPlan task(std::vector<ProcessSpec> processes, std::vector<Order> constraints = {}) {
  TaskPlan plan;
  plan.processes = std::move(processes);
  plan.constraints = std::move(constraints);
  plan.finalization_wait = seconds(30);
  return plan;
}

class FakeTask : public TaskEffects {
 public:
  struct Crash {};

  explicit FakeTask(TaskPlan task_plan) : plan(std::move(task_plan)) {
    const auto checked = check_plan(plan);
    if (!checked) ADD_FAILURE() << checked.error().message();
  }

  /// Run n of a process goes as script[process][n]; later ones as the last. Without an entry: one second, exit 0.
  std::map<std::string, std::vector<Behaviour>> script;
  TaskPlan plan;
  ManualClock clock;
  std::vector<Record> records;
  std::vector<std::string> signals;                ///< "TERM a#0"
  std::set<std::pair<std::string, int>> launched;  ///< runs that have really been executed
  std::vector<std::pair<std::string, int>> launched_in_order;
  std::optional<TaskState> ended;
  std::optional<Time> wake;
  std::size_t crash_at = ~std::size_t{0};  ///< the runner dies when it has written this many records
  std::size_t most_at_once = 0;
  int wakes_asked = 0;

  TaskMachine& machine() { return *machine_; }

  void start() {
    machine_ = std::make_unique<TaskMachine>(plan, clock, *this);
    machine_->start(header(), 4000, 0, "boot");
  }

  /// Another runner takes over from what is written down. Call when there is none, or to have it die now.
  void restart() {
    TaskHistory written;
    for (const Record& record : records) ASSERT_TRUE(written.apply(record));
    wake.reset();
    machine_ = std::make_unique<TaskMachine>(plan, clock, *this);
    if (!written.empty()) {
      const auto resumed = machine_->resume(written);
      ASSERT_TRUE(resumed) << resumed.error().message();
    }
    machine_->start(header(), 4001, 0, "boot");
    for (const auto& [name, runs] : written.processes) {
      const int run = static_cast<int>(runs.size()) - 1;
      if (runs.back().state == ProcessState::kWaiting || is_terminal(runs.back().state)) continue;
      if (!alive_.contains(name)) {
        machine_->ended(name, run, {.kind = RunEnd::Kind::kLost, .stop_time = clock.wall(), .reason = {}, .usage = {}});
      } else if (runs.back().state == ProcessState::kForked) {
        alive_.at(name).told = false;
      }
    }
  }

  /// Delivers the next thing that happens; false when nothing ever will.
  bool step() {
    std::string next;
    std::optional<Time> when = wake;
    for (const auto& [name, run] : alive_) {
      const Time due = run.told ? run.ends : run.execs;
      if (due != Time::max() && (!when || due <= *when)) when = due, next = name;
    }
    if (!when) return false;
    clock.advance_to(*when);
    if (next.empty()) {
      wake.reset();
      machine_->tick();
    } else {
      deliver(next);
    }
    return true;
  }
  /// Until the task has ended. Bounded: a task that never ends is a failure.
  void run() {
    for (int steps = 0; steps < 100'000 && !ended; ++steps) {
      if (!step()) break;
    }
    EXPECT_TRUE(ended) << "the task never ends";
    EXPECT_TRUE(alive_.empty() || immortal_left_) << "a process outlives the task";
  }
  void run_for(Duration span) {
    const Time end = clock.now() + span;
    while (!ended && next_event() <= end) step();
    clock.advance_to(end);
  }
  void run_until(const std::function<bool()>& reached) {
    while (!reached()) ASSERT_TRUE(step());
  }
  /// The process dies of a signal from outside.
  void kill_from_outside(const std::string& name, int signal) {
    alive_.at(name).ends = clock.now();
    alive_.at(name).code = -signal;
  }
  void lose_from_outside(const std::string& name) {
    alive_.at(name).ends = clock.now();
    alive_.at(name).lost = true;
  }
  bool alive(const std::string& name) const { return alive_.contains(name); }

  // What the records say.
  TaskHistory history() const {
    TaskHistory out;
    for (const Record& record : records) EXPECT_TRUE(out.apply(record));
    return out;
  }
  /// "FAILED 3", "LOST"
  std::vector<std::string> runs(const std::string& name) const {
    std::vector<std::string> out;
    const TaskHistory all = history();
    const auto found = all.processes.find(name);
    if (found == all.processes.end()) return out;
    for (const RunHistory& run : found->second) {
      std::string text(to_string(run.state));
      if (run.return_code) text += " " + std::to_string(*run.return_code);
      out.push_back(text);
    }
    return out;
  }
  std::vector<TaskState> states() const {
    std::vector<TaskState> out;
    for (const TaskRecord& status : history().statuses) out.push_back(status.state);
    return out;
  }
  std::string reason() const { return history().statuses.back().reason.value_or(""); }
  RunHistory run_of(const std::string& name, std::size_t n = 0) const { return history().processes.at(name).at(n); }

  // TaskEffects
  void record(const Record& record) override {
    records.push_back(record);
    if (records.size() >= crash_at) {
      crash_at = ~std::size_t{0};
      throw Crash{};
    }
  }
  void launch(const std::string& name, int run) override {
    const Behaviour how = behaviour(name, run);
    EXPECT_FALSE(alive_.contains(name)) << name << " runs twice at once";
    if (!how.refusal.empty() && !how.refused_late) return machine_->refused(name, run, how.refusal, clock.wall());
    machine_->forked(name, run, {100 + run, 77});
    EXPECT_TRUE(launched.insert({name, run}).second) << name << "#" << run << " is started twice";
    launched_in_order.emplace_back(name, run);
    alive_[name] = {run,  clock.now() + how.exec_after, clock.now() + how.exec_after + how.takes, how.code, how.lost,
                    false};
    most_at_once = std::max(most_at_once, alive_.size());
  }
  void signal(const std::string& name, int run, int signal) override {
    signals.push_back((signal == SIGKILL ? "KILL " : "TERM ") + name + "#" + std::to_string(run));
    const auto found = alive_.find(name);
    if (found == alive_.end()) return;
    EXPECT_EQ(found->second.run, run);
    const Behaviour how = behaviour(name, run);
    if (signal == SIGTERM && how.on_term) {
      found->second.ends = std::min(found->second.ends, clock.now() + how.term_takes);
      found->second.code = *how.on_term;
    } else if (signal == SIGKILL) {
      found->second.ends = how.immortal ? Time::max() : clock.now();
      found->second.code = how.on_kill;
      immortal_left_ = immortal_left_ || how.immortal;
    }
  }
  void wake_at(Time when) override {
    wake = when;
    ++wakes_asked;
  }
  void finished(TaskState state) override {
    EXPECT_FALSE(ended) << "finished twice";
    EXPECT_EQ(state, history().state());
    ended = state;
    wake.reset();
  }

 private:
  struct Alive {
    int run = 0;
    Time execs{}, ends{};
    int code = 0;
    bool lost = false;
    bool told = false;  ///< running()
  };

  Behaviour behaviour(const std::string& name, int run) const {
    const auto found = script.find(name);
    if (found == script.end()) return {};
    return found->second[std::min(static_cast<std::size_t>(run), found->second.size() - 1)];
  }
  Time next_event() const {
    Time next = wake.value_or(Time::max());
    for (const auto& [name, run] : alive_) next = std::min(next, run.told ? run.ends : run.execs);
    return next;
  }
  void deliver(const std::string& name) {
    Alive& run = alive_.at(name);
    if (!run.told && behaviour(name, run.run).refusal.empty()) {
      run.told = true;
      machine_->running(name, run.run, 200 + run.run, clock.wall());
    } else {
      deliver_end(name);
    }
  }
  /// A launcher's news stay until they are written down: the runner may die while it hears them.
  void deliver_end(const std::string& name) {
    const Alive gone = alive_.extract(name).mapped();
    const Behaviour how = behaviour(name, gone.run);
    RunEnd end;
    end.kind = gone.lost ? RunEnd::Kind::kLost : RunEnd::Kind::kExited;
    end.return_code = gone.code;
    end.stop_time = clock.wall();
    end.reason = how.reason;
    end.failed = how.failed;
    try {
      if (how.refusal.empty()) return machine_->ended(name, gone.run, end);
      machine_->refused(name, gone.run, how.refusal, end.stop_time);
    } catch (const Crash&) {
      const bool written = is_terminal(history().processes.at(name).at(static_cast<std::size_t>(gone.run)).state);
      if (!written) alive_[name] = gone;
      throw;
    }
  }

  std::unique_ptr<TaskMachine> machine_;
  std::map<std::string, Alive> alive_;
  bool immortal_left_ = false;
};

}  // namespace dewar::testing
