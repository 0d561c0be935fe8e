#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "isolation/container.h"
#include "tests/support/temp_folder.h"
#include "thermos/control.h"
#include "thermos/history.h"
#include "thermos/prepare.h"

namespace dewar {

/// One task on the real kernel: from a task file's text through dewar-runner to its end, as `dewar run` does it, but
/// with every part in the test's hand. Waiting is always for an event, with a bound; a task that has not ended at the
/// end of the test is lost. The destructor checks that nothing of the task is left: no process, no cgroup.
class TaskRun {
 public:
  struct Options {
    std::string task_id = "task", user = "nobody";
    std::map<std::string, std::int64_t> ports;
    bool preserve_environment = false;
    std::function<void(RunnerSpec&)> change;  ///< before the runner sees it
  };
  using Wanted = std::function<bool(const TaskHistory&)>;

  explicit TaskRun(const std::string& yaml) : TaskRun(yaml, Options()) {}
  TaskRun(const std::string& yaml, Options options);
  TaskRun(const TaskRun&) = delete;
  TaskRun& operator=(const TaskRun&) = delete;
  ~TaskRun();

  /// The folder is there, nothing runs. Done by start() if need be.
  void prepare();
  /// Starts a runner, without waiting for it. `arguments` come before the run folder.
  void start(std::vector<std::string> arguments = {});
  /// start() and wait for the end.
  TaskHistory run();
  /// Waits until `wanted` is true of the history; fails the test after 60 s, or when the runner ends before.
  TaskHistory wait(const Wanted& wanted, const std::string& what);
  TaskHistory wait_running(const std::string& process, int run = 0);
  /// Waits for the terminal state and the runner's exit, and compares the live history with the replayed file's.
  TaskHistory wait_end();
  /// Waits until a process has made `name` in the sandbox; fails the test after 60 s.
  bool wait_file(const std::string& name) const;
  /// Waits for the runner's exit only; its exit code, or minus a signal.
  int wait_exit();

  /// The connection to the runner; the test fails if it ended before there was one.
  RunnerClient& client();
  pid_t runner_pid() const { return runner_; }
  const RunnerSpec& spec() const { return spec_; }
  std::string checkpoint_root() const { return spec_.run_folder + "/checkpoints"; }
  std::string sandbox() const { return spec_.run_folder + "/sandbox"; }
  std::string output(const std::string& process, int run = 0, const std::string& stream = "stdout") const;
  /// What the runners so far had to say.
  std::string runner_log() const;

 private:
  bool connect();
  bool receive(int timeout_ms);
  void read_files();

  TempFolder folder_;
  std::string yaml_;
  Options options_;
  RunnerSpec spec_;
  pid_t runner_ = -1;
  std::optional<RunnerClient> client_;
  TaskHistory history_;
};

/// As much of the container as it takes to find or sweep it.
ContainerSpec container_of(const RunnerSpec& spec);

/// "WAITING FAILED SUCCESS": the states of a process's runs, for EXPECT_EQ.
std::string runs_of(const TaskHistory& history, const std::string& process);
/// "ACTIVE CLEANING FINALIZING SUCCESS".
std::string states_of(const TaskHistory& history);

}  // namespace dewar
