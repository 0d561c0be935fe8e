// Thermos's acceptance scenarios with real processes; the numbers are those of docs/scenarios.md.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <csignal>
#include <fstream>

#include "base/process.h"
#include "tests/scenario/task_run.h"
#include "thermos/checkpoint.h"

namespace dewar {
namespace {

const RunHistory& last_run(const TaskHistory& history, const std::string& process) {
  return history.processes.at(process).back();
}

TEST(Scenario, S01_AProcessSaysHiAndTheTaskSucceeds) {
  TaskRun task("name: hi\nprocesses: [{name: hi, cmdline: echo hi}]\n");
  const TaskHistory end = task.run();
  EXPECT_EQ(states_of(end), "ACTIVE CLEANING FINALIZING SUCCESS");
  EXPECT_EQ(runs_of(end, "hi"), "SUCCESS");
  EXPECT_EQ(last_run(end, "hi").return_code, 0);
  EXPECT_EQ(last_run(end, "hi").seq, 3);
  EXPECT_EQ(task.output("hi"), "hi\n");
  EXPECT_EQ(task.output("hi", 0, "stderr"), "");
  EXPECT_FALSE(exists(task.checkpoint_root() + "/tasks/active/task"));
  EXPECT_TRUE(exists(task.checkpoint_root() + "/tasks/finished/task"));
}

TEST(Scenario, S02_ReplayEqualsTheLiveStateAndTimesAreInOrder) {
  TaskRun task("name: t\nprocesses: [{name: a, cmdline: 'true'}, {name: b, cmdline: sleep 0.1}]\n");
  const TaskHistory end = task.run();  // compares with the replayed file
  for (const char* process : {"a", "b"}) {
    const RunHistory& run = last_run(end, process);
    EXPECT_LT(*run.fork_time, *run.start_time);
    EXPECT_LE(*run.start_time, *run.stop_time);
  }
}

TEST(Scenario, S03_RetriesUntilEachSucceeds) {
  TaskRun task(R"yaml(
name: t
processes:
  - {name: p1, cmdline: 'echo x >> p1; test $(wc -l < p1) -ge 1', max_failures: 5, min_duration: 0}
  - {name: p2, cmdline: 'echo x >> p2; test $(wc -l < p2) -ge 2', max_failures: 5, min_duration: 0}
  - {name: p3, cmdline: 'echo x >> p3; test $(wc -l < p3) -ge 3', max_failures: 5, min_duration: 0}
)yaml");
  const TaskHistory end = task.run();
  EXPECT_EQ(end.state(), TaskState::kSuccess);
  EXPECT_EQ(runs_of(end, "p1"), "SUCCESS");
  EXPECT_EQ(runs_of(end, "p2"), "FAILED SUCCESS");
  EXPECT_EQ(runs_of(end, "p3"), "FAILED FAILED SUCCESS");
}

TEST(Scenario, S05_FailsAsOftenAsItMay) {
  TaskRun task("name: t\nprocesses: [{name: p, cmdline: exit 1, max_failures: 3, min_duration: 0}]\n");
  const TaskHistory end = task.run();
  EXPECT_EQ(runs_of(end, "p"), "FAILED FAILED FAILED");
  EXPECT_EQ(end.state(), TaskState::kFailed);
  EXPECT_NE(end.statuses.back().reason.value_or("").find("p"), std::string::npos);
}

TEST(Scenario, S06_WhatDependsOnAFailureNeverStarts) {
  TaskRun task(R"yaml(
name: t
max_failures: 2
processes: [{name: a, cmdline: 'true'}, {name: b, cmdline: exit 1}, {name: c, cmdline: 'true'}]
order: [a, b, c]
)yaml");
  const TaskHistory end = task.run();
  EXPECT_EQ(runs_of(end, "a"), "SUCCESS");
  EXPECT_EQ(runs_of(end, "b"), "FAILED");
  EXPECT_EQ(runs_of(end, "c"), "absent");
  EXPECT_EQ(end.state(), TaskState::kFailed);
}

TEST(Scenario, S10_ADiamondOfSixWithAPort) {
  TaskRun::Options options;
  options.ports = {{"named_port", 8123}};
  TaskRun task(R"yaml(
name: t
processes:
  - {name: t1, cmdline: 'echo {{thermos.ports[named_port]}} {{thermos.task_id}}'}
  - {name: t2, cmdline: 'true'}
  - {name: t3, cmdline: 'true'}
  - {name: t4, cmdline: 'true'}
  - {name: t5, cmdline: 'true'}
  - {name: t6, cmdline: 'true'}
constraints:
  - {order: [t1, t3]}
  - {order: [t1, t4]}
  - {order: [t2, t3]}
  - {order: [t2, t4]}
  - {order: [t3, t5]}
  - {order: [t3, t6]}
  - {order: [t4, t5]}
  - {order: [t4, t6]}
)yaml",
               options);
  const TaskHistory end = task.run();
  for (const char* process : {"t1", "t2", "t3", "t4", "t5", "t6"}) EXPECT_EQ(runs_of(end, process), "SUCCESS");
  ASSERT_TRUE(end.header);
  EXPECT_EQ(end.header->task_id, "task");
  EXPECT_EQ(end.header->sandbox, task.sandbox());
  EXPECT_FALSE(end.header->hostname.empty());
  EXPECT_GT(end.header->launch_time_ms, 1600000000000);
  EXPECT_EQ(end.header->ports, (std::map<std::string, std::int64_t>{{"named_port", 8123}}));
  EXPECT_EQ(task.output("t1"), "8123 task\n");
}

TEST(Scenario, S11_AReferencedPortThatIsNotSuppliedIsRefusedBeforeTheStart) {
  TaskRun::Options options;
  options.change = [](RunnerSpec& spec) { spec.ports.clear(); };
  TaskRun task("name: t\nprocesses: [{name: p, cmdline: 'echo {{thermos.ports[http]}}'}]\n", options);
  task.start();
  EXPECT_EQ(task.wait_exit(), 101);
  EXPECT_FALSE(exists(task.checkpoint_root() + "/tasks/active/task"));
}

TEST(Scenario, S12_OneAtATime) {
  TaskRun task(R"yaml(
name: t
max_concurrency: 1
processes: [{name: a, cmdline: sleep 1}, {name: b, cmdline: sleep 1}, {name: c, cmdline: sleep 1}]
)yaml");
  const TaskHistory end = task.run();
  std::vector<std::pair<double, double>> times;  // start and end
  for (const char* process : {"a", "b", "c"}) {
    EXPECT_EQ(runs_of(end, process), "SUCCESS");
    times.emplace_back(*last_run(end, process).start_time, *last_run(end, process).stop_time);
  }
  std::ranges::sort(times);
  EXPECT_GE(times[1].first, times[0].second);
  EXPECT_GE(times[2].first, times[1].second);
}

TEST(Scenario, S13_AProfileLeftByOneProcessIsReadByTheNext) {
  TaskRun task(R"yaml(
name: t
processes:
  - {name: profile, cmdline: 'mkdir .profile.d; echo "for f in .profile.d/*.sh; do . \$f; done" > .thermos_profile'}
  - {name: foo, cmdline: 'echo "export FOO=1" > .profile.d/foo.sh'}
  - {name: bar, cmdline: 'echo "export BAR=2" > .profile.d/bar.sh'}
  - {name: run, cmdline: 'echo $FOO $BAR'}
constraints: [{order: [profile, foo, run]}, {order: [profile, bar, run]}]
)yaml");
  task.run();
  EXPECT_EQ(task.output("run"), "1 2\n");
}

TEST(Scenario, S14_TheEnvironmentIsThermosOwnUnlessItIsPreserved) {
  ASSERT_EQ(::setenv("TEST", "seen", 1), 0);
  const std::string yaml = "name: t\nprocesses: [{name: p, cmdline: 'env -0 | sort -z | tr \"\\0\" \"\\n\"'}]\n";
  TaskRun plain(yaml);
  plain.run();
  const std::string path = plain.spec().path, home = plain.sandbox();
  // bash itself adds PWD, SHLVL, OLDPWD and _.
  EXPECT_NE(plain.output("p").find("HOME=" + home + "\nLOGNAME=nobody\n"), std::string::npos) << plain.output("p");
  EXPECT_NE(plain.output("p").find("PATH=" + path + "\n"), std::string::npos);
  EXPECT_NE(plain.output("p").find("USER=nobody\n"), std::string::npos);
  EXPECT_EQ(plain.output("p").find("TEST="), std::string::npos);
  EXPECT_EQ(plain.output("p").find("BASH_ENV="), std::string::npos);
  TaskRun::Options options;
  options.preserve_environment = true;
  TaskRun preserved(yaml, options);
  preserved.run();
  EXPECT_NE(preserved.output("p").find("TEST=seen\n"), std::string::npos);
}

TEST(Scenario, S15_NoDescriptorOfOursReachesTheProcess) {
  TaskRun task("name: t\nprocesses: [{name: p, cmdline: 'exec ls -m /proc/self/fd'}]\n");
  task.run();
  EXPECT_EQ(task.output("p"), "0, 1, 2, 3\n") << "3 is what ls itself has opened";
}

TEST(Scenario, S16_WhoIsNotRootMayRunNothingAndNothingIsForked) {
  const TempFolder folder;
  ASSERT_TRUE(replace_file(folder / "task.yaml", "name: t\nprocesses: [{name: p, cmdline: 'true'}]\n"));
  ASSERT_EQ(::chmod(folder.path().c_str(), 0777), 0);
  Spawn dewar;
  dewar.program = "/usr/bin/setpriv";
  dewar.argv = {
      "setpriv",      "--reuid=65534",      "--regid=65534", "--clear-groups", std::string(DEWAR_BIN) + "/dewar",
      "run",          folder / "task.yaml", "--user",        "root",           "--work-dir",
      folder / "work"};
  const auto pid = spawn(dewar);
  ASSERT_TRUE(pid) << pid.error().message();
  int status = 0;
  ASSERT_EQ(::waitpid(*pid, &status, 0), *pid);
  EXPECT_EQ(WEXITSTATUS(status), 4);
  EXPECT_FALSE(exists(folder / "work"));
}

TEST(Scenario, S17_AnUnknownUserIsRefused) {
  TaskRun::Options options;
  options.change = [](RunnerSpec& spec) { spec.user_found = false; };
  TaskRun task("name: t\nprocesses: [{name: p, cmdline: 'true'}]\n", options);
  task.start();
  EXPECT_EQ(task.wait_exit(), 104);
}

TEST(Scenario, S18_AnotherTaskUnderTheSameIdIsRefusedAndAFinishedOneNotRunAgain) {
  TaskRun task("name: t\nprocesses: [{name: p, cmdline: 'true'}]\n");
  task.run();
  const std::string stream = task.checkpoint_root() + "/checkpoints/task/runner";
  const std::string before = *read_file(stream);
  task.start();
  EXPECT_EQ(task.wait_exit(), 105);
  EXPECT_EQ(*read_file(stream), before);
  RunnerSpec other = task.spec();
  other.task_json = "{\"name\": \"another\"}";
  ASSERT_TRUE(replace_file(other.run_folder + "/runner.spec", encode_runner_spec(other)));
  task.start();
  EXPECT_EQ(task.wait_exit(), 102);
  EXPECT_EQ(*read_file(stream), before);
}

TEST(Scenario, S19_AProcessThatCannotBeLaunchedFailsAndTheTaskGoesOn) {
  TaskRun::Options options;
  options.change = [](RunnerSpec& spec) {
    // A file where the log folder of `bad` would be.
    ASSERT_TRUE(replace_file(spec.run_folder + "/.logs/bad", "in the way"));
  };
  TaskRun task("name: t\nmax_failures: 0\nprocesses: [{name: bad, cmdline: 'true'}, {name: good, cmdline: 'true'}]\n",
               options);
  const TaskHistory end = task.run();
  EXPECT_EQ(runs_of(end, "bad"), "FAILED");
  EXPECT_NE(last_run(end, "bad").reason.find(".logs/bad"), std::string::npos) << last_run(end, "bad").reason;
  EXPECT_EQ(runs_of(end, "good"), "SUCCESS");
}

}  // namespace
}  // namespace dewar
