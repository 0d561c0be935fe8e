// A runner that is killed and started again takes its task over where it stands; by number as in docs/scenarios.md.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <csignal>
#include <random>

#include "base/process.h"
#include "isolation/container.h"
#include "tests/scenario/task_run.h"
#include "thermos/checkpoint.h"
#include "thermos/runner/attempt.h"

namespace dewar {
namespace {

const RunHistory& last_run(const TaskHistory& history, const std::string& process) {
  return history.processes.at(process).back();
}

void kill_runner(TaskRun& task) {
  ASSERT_EQ(::kill(task.runner_pid(), SIGKILL), 0);
  ASSERT_EQ(task.wait_exit(), -SIGKILL);
}

void wait_gone(const ProcessId& id) {
  const auto pidfd = open_process(id);
  if (!pidfd) return;
  pollfd end{pidfd->get(), POLLIN, 0};
  ASSERT_EQ(::poll(&end, 1, 30000), 1);
}

TEST(Scenario, S32_ARunThatEndsWhileNoRunnerLivesIsToldTruly) {
  TaskRun task("name: t\nprocesses: [{name: p, cmdline: 'echo before; read < go; echo after; exit 0'}]\n");
  task.prepare();
  ASSERT_EQ(::mkfifo((task.sandbox() + "/go").c_str(), 0666), 0);
  ASSERT_EQ(::chmod((task.sandbox() + "/go").c_str(), 0666), 0);
  task.start();
  const RunHistory run = last_run(task.wait_running("p"), "p");
  kill_runner(task);
  ASSERT_TRUE(replace_file(task.sandbox() + "/note", ""));
  {
    const auto go = open_file(task.sandbox() + "/go", O_WRONLY);
    ASSERT_TRUE(go);
    ASSERT_TRUE(write_all(go->get(), "x\n", "go"));
  }
  wait_gone({*run.coordinator_pid, *run.coordinator_start});
  task.start();
  const TaskHistory end = task.wait_end();
  EXPECT_EQ(states_of(end), "ACTIVE ACTIVE CLEANING FINALIZING SUCCESS");
  EXPECT_EQ(runs_of(end, "p"), "SUCCESS");
  EXPECT_EQ(last_run(end, "p").pid, run.pid);
  EXPECT_EQ(task.output("p"), "before\nafter\n");
}

TEST(Recovery, ALivingRunIsTakenOverAndNotStartedTwice) {
  TaskRun task(
      "name: t\nprocesses: [{name: p, cmdline: 'echo start >> starts; read < go; exit 3', max_failures: 1}]\n");
  task.prepare();
  ASSERT_EQ(::mkfifo((task.sandbox() + "/go").c_str(), 0666), 0);
  ASSERT_EQ(::chmod((task.sandbox() + "/go").c_str(), 0666), 0);
  task.start();
  const RunHistory before = last_run(task.wait_running("p"), "p");
  for (int round = 0; round < 3; ++round) {
    kill_runner(task);
    task.start();
    EXPECT_EQ(last_run(task.wait_running("p"), "p").pid, before.pid);
  }
  const auto go = open_file(task.sandbox() + "/go", O_WRONLY);
  ASSERT_TRUE(write_all(go->get(), "x\n", "go"));
  const TaskHistory end = task.wait_end();
  EXPECT_EQ(runs_of(end, "p"), "FAILED");
  EXPECT_EQ(last_run(end, "p").return_code, 3);
  EXPECT_EQ(*read_file(task.sandbox() + "/starts"), "start\n");
}

TEST(Scenario, S09_ARunnerKilledAgainAndAgainStillEndsTheTaskTruly) {
  std::mt19937 random(20150428);
  for (int round = 0; round < 4; ++round) {
    TaskRun task(R"yaml(
name: t
max_failures: 2
processes:
  - {name: a, cmdline: 'echo a >> starts; sleep 0.05', min_duration: 0}
  - {name: b, cmdline: 'echo b >> starts; exit 1', max_failures: 2, min_duration: 0}
  - {name: c, cmdline: 'echo c >> starts; sleep 0.05', final: true, min_duration: 0}
order: [a, b]
)yaml");
    int code = -SIGKILL;
    for (int kills = 0; code == -SIGKILL && kills < 200; ++kills) {
      task.start();
      // The crash point is random on purpose: from before the first record to after the last one, and later and later,
      // so that a slow machine gets there too.
      const auto pidfd = open_child(task.runner_pid());
      ASSERT_TRUE(pidfd);
      pollfd end{pidfd->get(), POLLIN, 0};
      ::poll(&end, 1, static_cast<int>(random() % static_cast<unsigned>(25 + 12 * kills)));
      (void)send_signal(*pidfd, SIGKILL);
      code = task.wait_exit();
    }
    EXPECT_TRUE(code == 0 || code == 105) << code << "\n" << task.runner_log();
    const auto end = read_history(task.checkpoint_root(), "task");
    ASSERT_TRUE(end);
    EXPECT_EQ(end->state(), TaskState::kSuccess) << "one failed process of the two that it would take";
    EXPECT_EQ(last_run(*end, "a").state, ProcessState::kSuccess);
    EXPECT_EQ(last_run(*end, "b").state, ProcessState::kFailed);
    EXPECT_EQ(last_run(*end, "c").state, ProcessState::kSuccess);
    // Every start that a process itself has written down is a run in the record, and none was started twice.
    const std::string starts = *read_file(task.sandbox() + "/starts");
    for (const char* process : {"a", "b", "c"}) {
      const auto seen = std::ranges::count(starts, process[0]);
      EXPECT_LE(seen, static_cast<std::ptrdiff_t>(end->processes.at(process).size())) << process << "\n" << starts;
    }
  }
}

TEST(Scenario, S34_ATornTailIsCutAndTheTaskGoesOn) {
  TaskRun task("name: t\nprocesses: [{name: p, cmdline: 'read < go'}]\n");
  task.prepare();
  ASSERT_EQ(::mkfifo((task.sandbox() + "/go").c_str(), 0666), 0);
  ASSERT_EQ(::chmod((task.sandbox() + "/go").c_str(), 0666), 0);
  task.start();
  task.wait_running("p");
  kill_runner(task);
  const std::string stream = task.checkpoint_root() + "/checkpoints/task/runner";
  const std::string bytes = *read_file(stream);
  ASSERT_EQ(::truncate(stream.c_str(), static_cast<off_t>(bytes.size()) - 5), 0);
  task.start();
  task.wait_running("p");
  const auto go = open_file(task.sandbox() + "/go", O_WRONLY);
  ASSERT_TRUE(write_all(go->get(), "x\n", "go"));
  const TaskHistory end = task.wait_end();
  EXPECT_EQ(runs_of(end, "p"), "SUCCESS");
  EXPECT_EQ(end.state(), TaskState::kSuccess);
}

TEST(Scenario, S35_ASecondRunnerIsRefusedUnlessItUsesForce) {
  TaskRun task("name: t\nprocesses: [{name: p, cmdline: sleep 60}]\n");
  task.start();
  const pid_t child = *last_run(task.wait_running("p"), "p").pid;
  const auto second =
      spawn({std::string(DEWAR_BIN) + "/dewar-runner", {"dewar-runner", task.spec().run_folder}, {}, {}, false});
  ASSERT_TRUE(second);
  int status = 0;
  ASSERT_EQ(::waitpid(*second, &status, 0), *second);
  EXPECT_EQ(WEXITSTATUS(status), 101);
  const pid_t first = task.runner_pid();
  task.start({"--force"});
  ASSERT_EQ(::waitpid(first, &status, 0), first);
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
  EXPECT_EQ(*last_run(task.wait_running("p"), "p").pid, child);
  ASSERT_TRUE(task.client().lose());
  EXPECT_EQ(task.wait_end().state(), TaskState::kLost);
}

TEST(Scenario, S36_AProcessIsOursByPidAndStartTimeAndAStrangerIsLeftAlone) {
  // Thermos allows ten seconds between the recorded and the real start; start_ticks are exact.
  TaskRun task("name: t\nprocesses: [{name: p, cmdline: sleep 60}]\n");
  task.start();
  const RunHistory real = last_run(task.wait_running("p"), "p");
  auto container = Container::adopt(container_of(task.spec()));
  ASSERT_TRUE(container);
  const ProcessSpec& process = task.spec().plan.processes.front();
  EXPECT_FALSE(Attempt::adopt(task.spec(), *container, process, 0, real).has_ended());
  RunHistory stranger = real;
  stranger.coordinator_start = *real.coordinator_start + 1;
  EXPECT_TRUE(Attempt::adopt(task.spec(), *container, process, 0, stranger).has_ended());
  stranger.coordinator_start.reset();  // as a record of Thermos's own would be
  EXPECT_TRUE(Attempt::adopt(task.spec(), *container, process, 0, stranger).has_ended());
  ASSERT_TRUE(task.client().lose());
  task.wait_end();
}

TEST(Recovery, AKilledSandboxEndsTheTaskAsLostWithItsReason) {
  TaskRun task("name: t\nprocesses: [{name: p, cmdline: sleep 60}, {name: last, cmdline: 'true', final: true}]\n");
  task.start();
  task.wait_running("p");
  auto container = Container::adopt(container_of(task.spec()));
  ASSERT_TRUE(container) << container.error().message();
  ASSERT_TRUE(send_signal(container->init(), SIGKILL));
  const TaskHistory end = task.wait_end();
  EXPECT_EQ(end.state(), TaskState::kLost);
  EXPECT_EQ(runs_of(end, "last"), "absent");
  EXPECT_NE(end.statuses.back().reason.value_or("").find("sandbox"), std::string::npos)
      << end.statuses.back().reason.value_or("");
}

TEST(Recovery, ASandboxThatDiedUnwatchedEndsTheTaskAsLost) {
  TaskRun task("name: t\nprocesses: [{name: p, cmdline: sleep 60}]\n");
  task.start();
  const RunHistory run = last_run(task.wait_running("p"), "p");
  auto container = Container::adopt(container_of(task.spec()));
  ASSERT_TRUE(container);
  kill_runner(task);
  ASSERT_TRUE(send_signal(container->init(), SIGKILL));
  wait_gone({*run.coordinator_pid, *run.coordinator_start});
  task.start();
  EXPECT_EQ(task.wait_end().state(), TaskState::kLost);
}

TEST(Recovery, AfterARebootWhatRanIsLostAndRunsAgain) {
  // The kernel of this test cannot be rebooted; what a reboot leaves is made by hand: no process, no cgroup, another
  // boot.
  TaskRun task(
      "name: t\nprocesses: [{name: p, cmdline: 'test -e once && exit 0; touch once; sleep 60', min_duration: 0}]\n");
  task.start();
  const RunHistory run = last_run(task.wait_running("p"), "p");
  task.wait_file("once");
  kill_runner(task);
  ASSERT_EQ(::kill(*run.coordinator_pid, SIGKILL), 0);
  wait_gone({*run.coordinator_pid, *run.coordinator_start});
  ASSERT_TRUE(Container::sweep(container_of(task.spec()), 5000));
  task.start();
  const TaskHistory end = task.wait_end();
  EXPECT_EQ(runs_of(end, "p"), "LOST SUCCESS");
  EXPECT_EQ(end.state(), TaskState::kSuccess);
}

/// Kills something of a running task at a random moment, again and again: what comes of it must be true, told and
/// whole. The destructor of TaskRun sees to it that nothing is left over.
TEST(Chaos, WhateverIsKilledWheneverTheTaskEndsAndItsRecordIsSound) {
  std::mt19937 random(19690720);
  for (int round = 0; round < 12; ++round) {
    TaskRun task(R"yaml(
name: t
max_failures: 0
finalization_wait: 5s
processes:
  - {name: a, cmdline: 'echo a >> starts; sleep 0.03', min_duration: 0, max_failures: 3}
  - {name: b, cmdline: 'echo b >> starts; (sleep 0.02; echo x) & wait', min_duration: 0, max_failures: 3}
  - {name: c, cmdline: 'echo c >> starts; exec sleep 0.02', min_duration: 0}
  - {name: last, cmdline: 'echo l >> starts', final: true}
order: [[a, c], [b, c]]
)yaml");
    task.start();
    const auto runner = open_child(task.runner_pid());
    ASSERT_TRUE(runner);
    bool runner_killed = false;
    for (int hits = 0; hits < 3 && !has_ended(*runner); ++hits) {
      pollfd end{runner->get(), POLLIN, 0};
      ::poll(&end, 1, static_cast<int>(random() % 40));
      const auto history = read_history(task.checkpoint_root(), "task");
      const auto container = Container::adopt(container_of(task.spec()));
      std::vector<pid_t> launchers, processes;
      for (const auto& [name, runs] : history ? history->processes : decltype(history->processes){}) {
        if (is_terminal(runs.back().state)) continue;
        if (runs.back().coordinator_pid) launchers.push_back(*runs.back().coordinator_pid);
        if (runs.back().pid) processes.push_back(*runs.back().pid);
      }
      const auto hit = [](const std::vector<pid_t>& pids) {
        if (!pids.empty()) ::kill(pids.front(), SIGKILL);
      };
      switch (random() % 8) {
        case 0:
          runner_killed = true, (void)send_signal(*runner, SIGKILL);
          break;
        case 1:
          if (container && round % 3 == 0) (void)send_signal(container->init(), SIGKILL);
          break;
        case 2:
        case 3:
        case 4:
          hit(launchers);
          break;
        default:
          hit(processes);
          break;
      }
      if (runner_killed) break;
    }
    if (runner_killed) {
      const int code = task.wait_exit();
      if (code == -SIGKILL) task.start();
    }
    if (task.runner_pid() > 0) task.wait_exit();
    const auto end = read_history(task.checkpoint_root(), "task");
    ASSERT_TRUE(end);
    EXPECT_TRUE(end->terminal());
    EXPECT_NE(end->statuses.back().reason.value_or(""), "");
    for (const auto& [name, runs] : end->processes) EXPECT_TRUE(is_terminal(runs.back().state)) << name;
    const auto starts = read_file(task.sandbox() + "/starts");
    for (const auto& [name, runs] : end->processes)
      EXPECT_LE(starts ? std::ranges::count(*starts, name[0]) : 0, static_cast<std::ptrdiff_t>(runs.size())) << name;
  }
}

}  // namespace
}  // namespace dewar
