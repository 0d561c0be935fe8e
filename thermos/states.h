// The states of a process's run and of a task, with Thermos's numbers, and the moves between them. Whoever writes or
// reads records goes by these two tables.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>

namespace dewar {

enum class ProcessState : std::int32_t {
  kWaiting = 0,
  kForked = 1,
  kRunning = 2,
  kSuccess = 3,
  kKilled = 4,
  kFailed = 5,
  kLost = 6
};
enum class TaskState : std::int32_t {
  kActive = 0,
  kSuccess = 1,
  kFailed = 2,
  kKilled = 3,
  kLost = 4,
  kCleaning = 5,
  kFinalizing = 6
};
std::string_view to_string(ProcessState state);  ///< "WAITING"
std::string_view to_string(TaskState state);     ///< "ACTIVE"

template <class State>
struct Move {
  State from, to;
};

/// Within one run; WAITING begins a run, and a new one begins only after the end of the one before.
inline constexpr Move<ProcessState> kProcessMoves[] = {
    {ProcessState::kWaiting, ProcessState::kForked},   // the launcher was started
    {ProcessState::kWaiting, ProcessState::kFailed},   // it could not be
    {ProcessState::kForked, ProcessState::kRunning},   // execve(2) worked
    {ProcessState::kForked, ProcessState::kFailed},    // a step before it did not
    {ProcessState::kForked, ProcessState::kKilled},    // by the end of the task
    {ProcessState::kForked, ProcessState::kLost},      // the launcher died
    {ProcessState::kRunning, ProcessState::kSuccess},  // exit 0
    {ProcessState::kRunning, ProcessState::kFailed},   // any other exit
    {ProcessState::kRunning, ProcessState::kKilled},   // a signal, whoever sent it
    {ProcessState::kRunning, ProcessState::kLost},     // nobody saw how it ended
};

/// A runner that takes control also repeats the state it finds; see may_follow().
inline constexpr Move<TaskState> kTaskMoves[] = {
    {TaskState::kActive, TaskState::kCleaning},      // complete, failed or told to end
    {TaskState::kCleaning, TaskState::kFinalizing},  // nothing runs any more
    {TaskState::kCleaning, TaskState::kSuccess},     // out of time: no finalizers
    {TaskState::kCleaning, TaskState::kFailed},
    {TaskState::kCleaning, TaskState::kKilled},
    {TaskState::kCleaning, TaskState::kLost},
    {TaskState::kFinalizing, TaskState::kSuccess},
    {TaskState::kFinalizing, TaskState::kFailed},
    {TaskState::kFinalizing, TaskState::kKilled},
    {TaskState::kFinalizing, TaskState::kLost},
    {TaskState::kActive, TaskState::kKilled},  // written for a task that has no runner (Thermos's command line)
    {TaskState::kActive, TaskState::kLost},    // likewise, and when the sandbox is gone
};

constexpr bool may_move(ProcessState from, ProcessState to) {
  return std::ranges::any_of(kProcessMoves, [=](auto move) { return move.from == from && move.to == to; });
}
constexpr bool may_move(TaskState from, TaskState to) {
  return std::ranges::any_of(kTaskMoves, [=](auto move) { return move.from == from && move.to == to; });
}

constexpr bool is_terminal(ProcessState state) {
  return state != ProcessState::kWaiting && state != ProcessState::kForked && state != ProcessState::kRunning;
}
constexpr bool is_terminal(TaskState state) {
  return state != TaskState::kActive && state != TaskState::kCleaning && state != TaskState::kFinalizing;
}

/// A move, or the same living state again.
constexpr bool may_follow(TaskState before, TaskState after) {
  return may_move(before, after) || (before == after && !is_terminal(before));
}

static_assert(std::ranges::none_of(kProcessMoves, [](auto move) { return is_terminal(move.from); }),
              "a run that has ended stays so");
static_assert(std::ranges::none_of(kTaskMoves, [](auto move) { return is_terminal(move.from); }),
              "a task that has ended stays so");
static_assert(std::ranges::none_of(kProcessMoves, [](auto move) { return move.to == ProcessState::kWaiting; }),
              "WAITING is the start of a run");
static_assert(std::ranges::none_of(kTaskMoves, [](auto move) { return move.to == TaskState::kActive; }),
              "ACTIVE is the start of a task");

}  // namespace dewar
