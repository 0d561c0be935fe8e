// What processes write: every logger mode and destination; by number as in docs/scenarios.md.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/scenario/task_run.h"

namespace dewar {
namespace {

std::uint64_t size_of(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? static_cast<std::uint64_t>(info.st_size) : ~0ull;
}

std::string logs(const TaskRun& task, const std::string& process) {
  return task.spec().run_folder + "/.logs/" + process + "/0";
}

TEST(Scenario, S62_TwoHundredMegabytesArriveWhole) {
  TaskRun task(R"yaml(
name: t
processes:
  - {name: out, cmdline: 'head -c 200M /dev/zero'}
  - {name: err, cmdline: 'head -c 200M /dev/zero >&2'}
)yaml");
  EXPECT_EQ(task.run().state(), TaskState::kSuccess);
  EXPECT_EQ(size_of(logs(task, "out") + "/stdout"), 200u << 20);
  EXPECT_EQ(size_of(logs(task, "out") + "/stderr"), 0u);
  EXPECT_EQ(size_of(logs(task, "err") + "/stdout"), 0u);
  EXPECT_EQ(size_of(logs(task, "err") + "/stderr"), 200u << 20);
  EXPECT_EQ(*list_dir(logs(task, "out")), (std::vector<std::string>{"stderr", "stdout"}));
}

TEST(Scenario, S64_RotationKeepsFiveBackups) {
  TaskRun task(R"yaml(
name: t
processes:
  - {name: p, cmdline: 'head -c 700M /dev/zero', logger: {mode: rotate}}
)yaml");
  EXPECT_EQ(task.run().state(), TaskState::kSuccess);
  EXPECT_EQ(*list_dir(logs(task, "p")),
            (std::vector<std::string>{"stderr", "stdout", "stdout.1", "stdout.2", "stdout.3", "stdout.4", "stdout.5"}));
  for (const char* name : {"/stdout.1", "/stdout.5"}) {
    EXPECT_GE(size_of(logs(task, "p") + name), 100u << 20);
    EXPECT_LE(size_of(logs(task, "p") + name), (100u << 20) + (1u << 20)) << "at most one read more";
  }
}

TEST(Scenario, S66_NoneConsoleAndBoth) {
  TaskRun task(R"yaml(
name: t
processes:
  - {name: none, cmdline: 'echo secret', logger: {destination: none}}
  - {name: console, cmdline: 'echo on the console; echo to its error stream >&2', logger: {destination: console}}
  - {name: both, cmdline: 'echo here and there', logger: {destination: both}}
order: [none, console, both]
)yaml");
  task.run();
  EXPECT_TRUE(list_dir(logs(task, "none"))->empty());
  EXPECT_TRUE(list_dir(logs(task, "console"))->empty());
  EXPECT_EQ(task.output("both"), "here and there\n");
  EXPECT_EQ(*read_file(task.spec().run_folder + "/stdout"), "on the console\nhere and there\n");
  EXPECT_EQ(*read_file(task.spec().run_folder + "/stderr"), "to its error stream\n");
}

TEST(Output, LogFilesBelongToTheTasksUserAndAreReadOnlyInside) {
  TaskRun task(R"yaml(
name: t
processes:
  - {name: first, cmdline: 'echo kept'}
  - {name: second, cmdline: 'cat .logs/first/0/stdout; (echo x >> .logs/first/0/stdout) 2>&1; rm -rf .logs/first 2>&1; ls ../.logs'}
order: [first, second]
)yaml");
  task.run();
  struct stat info {};
  ASSERT_EQ(::stat((logs(task, "first") + "/stdout").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, task.spec().user.uid);
  EXPECT_EQ(task.output("first"), "kept\n");
  const std::string second = task.output("second");
  EXPECT_TRUE(second.starts_with("kept\n")) << second;
  EXPECT_NE(second.find("Read-only file system"), std::string::npos) << second;
  EXPECT_TRUE(second.ends_with("first\nsecond\n")) << second;
}

TEST(Output, TheLastLineOfADyingProcessIsThere) {
  TaskRun task(
      "name: t\nmax_failures: 0\nprocesses: [{name: p, cmdline: 'for i in $(seq 20000); do echo line $i; done; exit "
      "4'}]\n");
  task.run();
  EXPECT_TRUE(task.output("p").ends_with("line 19999\nline 20000\n"));
}

}  // namespace
}  // namespace dewar
