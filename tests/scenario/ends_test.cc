// How processes and tasks end: killed, lost, finalized; by number as in docs/scenarios.md.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <csignal>

#include "base/process.h"
#include "tests/scenario/task_run.h"

namespace dewar {
namespace {

using namespace std::chrono_literals;

const RunHistory& last_run(const TaskHistory& history, const std::string& process) {
  return history.processes.at(process).back();
}

/// Has ended, or is just about to: nothing of it is in any cgroup, so only the kernel's last steps are left.
bool ends(const UniqueFd& pidfd) {
  pollfd end{pidfd.get(), POLLIN, 0};
  return ::poll(&end, 1, 1000) == 1;
}

/// The number that a process has written into a file of its sandbox, in the container's numbering, is of no use here:
/// this finds the host's pid of a `sleep <marker>` anywhere on the host.
std::vector<pid_t> sleepers(const std::string& marker) {
  std::vector<pid_t> found;
  const auto names = list_dir("/proc");
  EXPECT_TRUE(names);
  for (const std::string& name : names ? *names : std::vector<std::string>{}) {
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const auto cmdline = read_file("/proc/" + name + "/cmdline");
    if (cmdline && *cmdline == std::string("sleep\0", 6) + marker + '\0') found.push_back(std::stoi(name));
  }
  return found;
}

pid_t pid_of(const TaskHistory& history, const std::string& process) { return *last_run(history, process).pid; }

void kill_hard(pid_t pid) { ASSERT_EQ(::kill(pid, SIGKILL), 0) << pid; }

TEST(Scenario, S20_AProcessKilledFromOutsideRunsAgain) {
  TaskRun task("name: t\nprocesses: [{name: p, cmdline: 'exec sleep 0.5', min_duration: 0}]\n");
  task.start();
  kill_hard(pid_of(task.wait_running("p"), "p"));
  const TaskHistory end = task.wait_end();
  EXPECT_EQ(runs_of(end, "p"), "KILLED SUCCESS");
  EXPECT_EQ(end.processes.at("p")[0].return_code, -SIGKILL);
  EXPECT_EQ(end.state(), TaskState::kSuccess);
}

TEST(Scenario, S22_AShellThatTellsOfAKilledChildHasFailed) {
  TaskRun task("name: t\nprocesses: [{name: p, cmdline: '(kill -9 $BASHPID); exit $?'}]\n");
  const TaskHistory end = task.run();
  EXPECT_EQ(runs_of(end, "p"), "FAILED");
  EXPECT_EQ(last_run(end, "p").return_code, 137);
  EXPECT_EQ(end.state(), TaskState::kFailed);
}

TEST(Scenario, S23_AKilledLauncherMakesItsRunLostAndItsProcessDead) {
  TaskRun task(
      "name: t\nprocesses: [{name: p, cmdline: 'if [ -e once ]; then exit 0; fi; touch once; exec sleep 4711', "
      "min_duration: 0}]\n");
  task.start();
  const TaskHistory running = task.wait_running("p");
  const auto child = open_process(*identify(pid_of(running, "p")));
  ASSERT_TRUE(child);
  task.wait_file("once");
  kill_hard(*last_run(running, "p").coordinator_pid);
  task.wait([](const TaskHistory& history) { return history.processes.at("p")[0].state == ProcessState::kLost; },
            "LOST");
  EXPECT_TRUE(ends(*child));
  const TaskHistory end = task.wait_end();
  EXPECT_EQ(runs_of(end, "p"), "LOST SUCCESS");
  EXPECT_EQ(end.state(), TaskState::kSuccess);
}

TEST(Scenario, S25_RunnerLauncherAndChildKilledThenTakenOverToBeKilled) {
  TaskRun task("name: t\nprocesses: [{name: p, cmdline: 'exec sleep 4712'}]\n");
  task.start();
  const TaskHistory running = task.wait_running("p");
  const RunHistory run = last_run(running, "p");
  kill_hard(task.runner_pid());
  EXPECT_EQ(task.wait_exit(), -SIGKILL);
  kill_hard(*run.coordinator_pid);
  kill_hard(*run.pid);
  task.start({"--kill", "--force"});
  const TaskHistory end = task.wait_end();
  EXPECT_EQ(runs_of(end, "p"), "LOST");
  EXPECT_EQ(end.state(), TaskState::kKilled);
}

TEST(Scenario, S27_AKilledTaskStillRunsItsFinalizers) {
  TaskRun task(R"yaml(
name: t
processes: [{name: p, cmdline: sleep 60}, {name: last, cmdline: 'true', final: true}]
)yaml");
  task.start();
  task.wait_running("p");
  ASSERT_TRUE(task.client().kill(20s));
  const TaskHistory end = task.wait_end();
  EXPECT_EQ(runs_of(end, "p"), "KILLED");
  EXPECT_EQ(last_run(end, "p").return_code, -SIGTERM);
  EXPECT_EQ(runs_of(end, "last"), "SUCCESS");
  EXPECT_EQ(states_of(end), "ACTIVE CLEANING FINALIZING KILLED");
}

TEST(Scenario, S28_WhoIgnoresTermIsKilledWhenTheWaitIsOverAndNothingIsFinalized) {
  TaskRun task(R"yaml(
name: t
processes: [{name: p, cmdline: 'trap "" TERM; touch ready; while :; do sleep 0.1; done'}, {name: last, cmdline: 'true', final: true}]
)yaml");
  task.start();
  task.wait_running("p");
  // RUNNING is told at exec; the trap is set once the file is there.
  task.wait_file("ready");
  ASSERT_TRUE(task.client().kill(1s));
  const TaskHistory end = task.wait_end();
  EXPECT_EQ(runs_of(end, "p"), "KILLED");
  EXPECT_EQ(last_run(end, "p").return_code, -1);
  EXPECT_EQ(runs_of(end, "last"), "absent");
  EXPECT_EQ(states_of(end), "ACTIVE CLEANING KILLED");
}

TEST(Scenario, S29_WhatAProcessLeavesBehindDiesWithIt) {
  TaskRun task(R"yaml(
name: t
processes:
  - {name: p, cmdline: 'sleep 4713 & setsid sleep 4713 & disown -a; exit 0'}
  - {name: next, cmdline: 'sleep 0.2'}
order: [p, next]
)yaml");
  task.start();
  task.wait([](const TaskHistory& history) { return runs_of(history, "p") == "SUCCESS"; }, "p's success");
  EXPECT_TRUE(sleepers("4713").empty());
  EXPECT_EQ(task.wait_end().state(), TaskState::kSuccess);
}

TEST(Scenario, S31_SignalsToTheRunnerKillAndLose) {
  const std::string yaml = "name: t\nprocesses: [{name: p, cmdline: sleep 4714}]\n";
  for (const auto& [signal, states] :
       std::map<int, std::string>{{SIGUSR1, "ACTIVE CLEANING FINALIZING KILLED"}, {SIGUSR2, "ACTIVE CLEANING LOST"}}) {
    TaskRun task(yaml);
    task.start();
    task.wait_running("p");
    ASSERT_EQ(::kill(task.runner_pid(), signal), 0);
    const TaskHistory end = task.wait_end();
    EXPECT_EQ(states_of(end), states);
    EXPECT_EQ(runs_of(end, "p"), "KILLED");
    EXPECT_TRUE(sleepers("4714").empty());
  }
}

TEST(Scenario, S53_AFinalProcessRunsAfterTheOthers) {
  TaskRun task(R"yaml(
name: t
processes: [{name: main, cmdline: 'true'}, {name: f2, cmdline: 'true', final: true}, {name: f1, cmdline: 'true', final: true}]
order: [f1, f2]
)yaml");
  const TaskHistory end = task.run();
  for (const char* process : {"main", "f1", "f2"}) EXPECT_EQ(runs_of(end, process), "SUCCESS");
  EXPECT_LE(*last_run(end, "main").stop_time, *last_run(end, "f1").start_time);  // 54
  EXPECT_LE(*last_run(end, "f1").stop_time, *last_run(end, "f2").start_time);
  EXPECT_EQ(end.state(), TaskState::kSuccess);
}

TEST(Scenario, S57_AFailedTaskIsFinalizedToo) {
  TaskRun task("name: t\nprocesses: [{name: main, cmdline: exit 1}, {name: last, cmdline: 'true', final: true}]\n");
  const TaskHistory end = task.run();
  EXPECT_EQ(runs_of(end, "main"), "FAILED");
  EXPECT_EQ(runs_of(end, "last"), "SUCCESS");
  EXPECT_EQ(end.state(), TaskState::kFailed);
}

TEST(Scenario, S59_AnEphemeralProcessIsEndedWithTheOthers) {
  TaskRun task(
      "name: t\nprocesses: [{name: e, cmdline: sleep 60, ephemeral: true}, {name: main, cmdline: sleep 0.3}]\n");
  const TaskHistory end = task.run();
  EXPECT_EQ(end.state(), TaskState::kSuccess);
  EXPECT_EQ(runs_of(end, "main"), "SUCCESS");
  EXPECT_EQ(runs_of(end, "e"), "KILLED");
  EXPECT_EQ(last_run(end, "e").return_code, -SIGTERM);
}

TEST(Scenario, S60_ATaskOfEphemeralProcessesSucceedsAndLeavesNothing) {
  TaskRun task("name: t\nprocesses: [{name: e, cmdline: sleep 4715, ephemeral: true}]\n");
  EXPECT_EQ(task.run().state(), TaskState::kSuccess);
  EXPECT_TRUE(sleepers("4715").empty());
}

TEST(Stop, TermReachesEveryProcessOfATreeEvenDaemons) {
  // Each of the three writes a line when it gets SIGTERM: the shell, a child, and a daemon in a session of its own.
  TaskRun task(R"yaml(
name: t
processes:
  - name: p
    cmdline: |
      cat > worker <<'END'
      trap 'echo $1 >> ended; exit 0' TERM
      touch ready.$1
      while :; do sleep 0.05; done
      END
      bash worker child &
      setsid bash worker daemon < /dev/null > /dev/null 2>&1 &
      . ./worker shell
)yaml");
  task.start();
  task.wait_running("p");
  for (const char* name : {"child", "daemon", "shell"}) task.wait_file(std::string("ready.") + name);
  ASSERT_TRUE(task.client().kill(10s));
  EXPECT_EQ(task.wait_end().state(), TaskState::kKilled);
  const std::string ended = *read_file(task.sandbox() + "/ended");
  EXPECT_NE(ended.find("child\n"), std::string::npos) << ended;
  EXPECT_NE(ended.find("daemon\n"), std::string::npos) << ended;
  EXPECT_NE(ended.find("shell\n"), std::string::npos) << ended;
}

}  // namespace
}  // namespace dewar
