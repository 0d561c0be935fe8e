#pragma once

#include <optional>
#include <string>

#include "base/process.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "isolation/attempt_status.h"
#include "isolation/container.h"
#include "isolation/launch_info.h"
#include "thermos/history.h"
#include "thermos/runner_spec.h"

namespace dewar {

/// What all attempts count their output in, where the task has a quota for it (isolation/log_quota.h).
std::string log_counter(const RunnerSpec& spec);

/// What all that runs in the task's container as its user has in common: environment, folder, rights, limits, filter.
AttemptRecipe task_recipe(const RunnerSpec& spec);

/// One living run of one process: its launcher, its leaf cgroup and its status file. All of it outlives the runner, so
/// it can be found again from what the checkpoint says.
class Attempt {  // NOLINT(bugprone-reserved-identifier): of the array that the compiler moves
 public:
  /// Starts a launcher, which waits, and makes the leaf and the log folder: nothing of the task runs before go().
  static Result<Attempt> start(const RunnerSpec& spec, const Container& container, const ProcessSpec& process, int run);
  /// Takes over a run that an earlier runner started. A launcher that is gone is no error: see has_ended().
  static Attempt adopt(const RunnerSpec& spec, const Container& container, const ProcessSpec& process, int run,
                       const RunHistory& history);

  /// After has_ended() of a launcher that did not live to tell the end: kills what is left of the run and starts
  /// another launcher, which brings what is in the pipes into the log; pidfd() is that one's now. False if there is no
  /// need. `told` is status(), read after the end; here and below.
  Result<bool> succeed_launcher(const RunnerSpec& spec, const ProcessSpec& process,
                                const std::optional<AttemptStatus>& told);

  /// Hands the recipe over. Call it once the checkpoint says FORKED.
  Result<void> go();

  const std::string& process() const { return process_; }
  int run() const { return run_; }
  const ProcessId& launcher() const { return launcher_; }
  /// The launcher's pidfd: readable when it has ended. Empty if it was gone at adopt().
  const UniqueFd& pidfd() const { return pidfd_; }
  bool has_ended() const { return !pidfd_ || dewar::has_ended(pidfd_); }

  /// What the launcher has written down so far.
  std::optional<AttemptStatus> status() const;
  /// To every process of the run. While nothing runs yet the signal is kept for deliver().
  void signal(int signal);
  /// RUNNING has been reported: sends what was asked for before.
  void deliver();
  bool running_told() const { return running_told_; }

  /// Where it runs; none if an earlier runner's is gone.
  const std::optional<Cgroup>& leaf() const { return leaf_; }
  /// After has_ended(): reaps the launcher and kills what may be left in the leaf (only after a launcher's violent end
  /// is there anything). The leaf has its final numbers then.
  void clear(const std::optional<AttemptStatus>& told);
  void remove_leaf();

  std::string losses_told;  ///< AttemptStatus::log_error as it was told

 private:
  static Spawn launcher_for(const RunnerSpec& spec, const Attempt& attempt, const UniqueFd& recipe, int second);
  Result<void> make(const RunnerSpec& spec, const Container& container, const ProcessSpec& process, pid_t launcher);
  void take_output();
  void reap();

  std::string process_, status_file_;
  int run_ = 0;
  ProcessId launcher_;
  UniqueFd pidfd_, recipe_pipe_;
  UniqueFd output_[2];  ///< read from the pipes of stdout and stderr, so that nothing in them dies with the launcher
  std::string recipe_;
  std::optional<Cgroup> leaf_;
  int pending_signal_ = 0;
  bool running_told_ = false, succeeded_ = false;
};

/// The process whose run has this leaf, or empty.
std::string process_of_leaf(const RunnerSpec& spec, const std::string& leaf);

/// Where a run's files are, below the run folder.
std::string log_folder(const RunnerSpec& spec, const std::string& process, int run);
std::string status_file(const RunnerSpec& spec, const std::string& process, int run);
/// The FIFO by which launchers tell that a status has changed to RUNNING.
std::string launchers_bell(const RunnerSpec& spec);

}  // namespace dewar
