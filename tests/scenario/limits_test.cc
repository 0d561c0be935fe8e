// Each limit of a whole task is crossed on the real kernel, and the end says so in words.
#include <gtest/gtest.h>

#include <csignal>

#include "tests/scenario/task_run.h"

namespace dewar {
namespace {

const RunHistory& last_run(const TaskHistory& history, const std::string& process) {
  return history.processes.at(process).back();
}

std::string reason_of(const TaskHistory& history) { return history.statuses.back().reason.value_or(""); }

TEST(Limit, MemoryKillsTheWholeTaskAndTheReasonSaysSo) {
  TaskRun task(R"yaml(
name: t
resources: {cpu: 1, ram: 64MB, disk: 64MB}
processes:
  - {name: hog, cmdline: 'exec python3 -c "x = bytearray(256 << 20)"', min_duration: 0}
  - {name: bystander, cmdline: 'sleep 60'}
  - {name: last, cmdline: 'echo finalized', final: true}
)yaml");
  const TaskHistory end = task.run();
  EXPECT_EQ(end.state(), TaskState::kFailed);
  EXPECT_NE(reason_of(end).find("memory limit of 64.0 MB"), std::string::npos) << reason_of(end);
  EXPECT_NE(reason_of(end).find("hog"), std::string::npos) << reason_of(end);
  EXPECT_EQ(runs_of(end, "hog"), "KILLED") << "it is not started again";
  EXPECT_EQ(runs_of(end, "bystander"), "KILLED");
  EXPECT_EQ(task.output("last"), "finalized\n");
  EXPECT_GE(end.statuses.back().usage.value_or(Usage{}).oom_kills, 1);
  EXPECT_GE(end.statuses.back().usage.value_or(Usage{}).memory_peak_bytes, 60 << 20);
}

TEST(Limit, MemoryOfAChildCountsForTheTask) {
  TaskRun task(R"yaml(
name: t
resources: {cpu: 1, ram: 64MB, disk: 64MB}
processes: [{name: p, cmdline: 'python3 -c "x = bytearray(256 << 20)"; sleep 60', min_duration: 0}]
)yaml");
  const TaskHistory end = task.run();
  EXPECT_EQ(end.state(), TaskState::kFailed);
  EXPECT_NE(reason_of(end).find("memory limit"), std::string::npos) << reason_of(end);
}

TEST(Limit, PidsStopAForkBomb) {
  TaskRun task(R"yaml(
name: t
sandbox: {pids: 20}
processes:
  - name: bomb
    cmdline: |
      exec python3 -c '
      import os, signal
      children = 0
      try:
          while os.fork() > 0: children += 1
          signal.pause()
      except OSError as error:
          print(children, error.strerror)
      '
)yaml");
  const TaskHistory end = task.run();
  EXPECT_EQ(task.output("bomb"), "18 Resource temporarily unavailable\n")
      << "the parent and the sandbox's first process count too";
}

TEST(Limit, CpuQuotaHoldsAndUsageIsExact) {
  TaskRun task(R"yaml(
name: t
resources: {cpu: 0.2, ram: 128MB, disk: 64MB}
sandbox: {cpu_quota: 0.2}
processes: [{name: burn, cmdline: 'timeout 1.5 bash -c "while :; do :; done" & timeout 1.5 bash -c "while :; do :; done"; wait'}]
)yaml");
  const TaskHistory end = task.run();
  const RunHistory& run = last_run(end, "burn");
  const double used = static_cast<double>(run.usage.cpu_us().value_or(0)) / 1e6;
  const double lived = *run.stop_time - *run.start_time;
  EXPECT_GT(used, 0.05);
  EXPECT_LT(used, 0.2 * lived + 0.1) << "0.2 of " << lived << " s and one period";
}

TEST(Limit, OpenFilesAndFileSizes) {
  TaskRun task(R"yaml(
name: t
max_failures: 0
sandbox: {rlimits: {nofile: 32, fsize: 4096}}
processes:
  - {name: nofile, cmdline: 'ulimit -n; for i in $(seq 10 60); do eval "exec $i< /dev/null" || exit 9; done'}
  - {name: fsize, cmdline: 'head -c 8192 /dev/zero > file; exit $?'}
)yaml");
  const TaskHistory end = task.run();
  EXPECT_EQ(task.output("nofile"), "32\n");
  EXPECT_EQ(last_run(end, "nofile").return_code, 9);
  EXPECT_EQ(last_run(end, "fsize").return_code, 128 + SIGXFSZ);
}

// covers: limit tmpfs
TEST(Limit, ATmpfsIsFullAtItsSize) {
  TaskRun task(R"yaml(
name: t
sandbox: {tmpfs: {/tmp: 1MB, /dev/shm: 2MB, /scratch: {inodes: 3}}}
max_failures: 0
processes:
  - {name: p, cmdline: 'head -c 2M /dev/zero > /tmp/file'}
  - {name: shm, cmdline: 'head -c 3M /dev/zero > /dev/shm/file'}
  - {name: inodes, cmdline: 'cd /scratch && touch 1 2 3 4'}
)yaml");
  const TaskHistory end = task.run();
  for (const char* process : {"p", "shm", "inodes"}) {
    EXPECT_EQ(runs_of(end, process), "FAILED");
    EXPECT_NE(task.output(process, 0, "stderr").find("No space left on device"), std::string::npos) << process;
  }
}

TEST(Sandbox, NetworkNoneHasOnlyALoopbackThatIsUp) {
  TaskRun task(R"yaml(
name: t
sandbox: {network: none}
processes:
  - {name: p, cmdline: 'ls /sys/class/net | tr "\n" " "; cat /proc/net/dev | grep -c :; exec 3<> /dev/tcp/127.0.0.1/9 || echo refused'}
)yaml");
  task.run();
  EXPECT_NE(task.output("p").find("1\n"), std::string::npos) << task.output("p");
  EXPECT_NE(task.output("p", 0, "stderr").find("Connection refused"), std::string::npos) << "lo is up";
}

TEST(Sandbox, ProcessesSeeOnlyThemselvesAndRunAsTheUserWithoutRights) {
  TaskRun task(R"yaml(
name: t
processes:
  - {name: p, cmdline: 'id -un; grep -E "^(CapEff|CapBnd|NoNewPrivs|Seccomp):" /proc/self/status | tr -s "\t" " "; ls -d /proc/[0-9]* | wc -l; touch /usr/x 2>&1; cat /etc/shadow 2>&1; hostname -s > /dev/null && pwd'}
)yaml");
  task.run();
  const std::string out = task.output("p");
  EXPECT_TRUE(out.starts_with("nobody\nCapBnd: 0000000000000000\n") ||
              out.starts_with("nobody\nCapEff: 0000000000000000\n"))
      << out;
  EXPECT_NE(out.find("NoNewPrivs: 1\nSeccomp: 2\n"), std::string::npos) << out;
  EXPECT_NE(out.find("Read-only file system"), std::string::npos) << out;
  EXPECT_NE(out.find("/etc/shadow: No such file"), std::string::npos) << out;
  EXPECT_TRUE(out.ends_with(task.sandbox() + "\n")) << out;
}

TEST(Sandbox, AStepThatFailsIsNamedWithItsCauseAndWhatToDo) {
  TaskRun::Options options;
  options.change = [](RunnerSpec& spec) { spec.seccomp = "not a filter"; };
  TaskRun task("name: t\nprocesses: [{name: web, cmdline: 'true'}]\n", options);
  const TaskHistory end = task.run();
  EXPECT_EQ(end.state(), TaskState::kFailed);
  EXPECT_NE(last_run(end, "web").reason.find("process 'web': step seccomp"), std::string::npos)
      << last_run(end, "web").reason;
}

TEST(Sandbox, ARootThatCannotBeBuiltEndsTheTaskInWords) {
  TaskRun::Options options;
  options.change = [](RunnerSpec& spec) { spec.sandbox.binds.push_back({"/nonexistent/folder", "/data"}); };
  TaskRun task("name: t\nprocesses: [{name: web, cmdline: 'true'}]\n", options);
  const TaskHistory end = task.run();
  EXPECT_EQ(end.state(), TaskState::kLost);
  EXPECT_NE(reason_of(end).find("/nonexistent/folder"), std::string::npos) << reason_of(end);
}

}  // namespace
}  // namespace dewar
