#include "agent/cli/run_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "thermos/spec/bind.h"
#include "thermos/spec/reader.h"

namespace dewar {
namespace {

using ::testing::ElementsAre;

ProcessSpec process(const std::string& name, bool final = false) {
  ProcessSpec spec;
  spec.name = name;
  spec.cmdline = "true";
  spec.final = final;
  return spec;
}

std::vector<std::string> names(const RunView& view) {
  std::vector<std::string> out;
  for (const ProcessView& one : view.processes) out.push_back(one.name);
  return out;
}

TEST(RunViewTest, ProcessesComeInTheOrderOfTheGraphWithTheFinalOnesLast) {
  RunnerSpec spec;
  spec.plan.processes = {process("sweep", true), process("serve"), process("fetch"), process("configure")};
  spec.plan.constraints = {{"fetch", "configure", "serve"}};
  const RunView view = view_of(spec);
  EXPECT_THAT(names(view), ElementsAre("fetch", "configure", "serve", "sweep"));
  EXPECT_TRUE(view.processes[3].final);
  EXPECT_FALSE(view.processes[0].final);
}

TEST(RunViewTest, AProcessIsLoggedAsItsOwnPolicySaysElseAsTheTasks) {
  RunnerSpec spec;
  spec.plan.logger.destination = LogDestination::kNone;
  spec.plan.processes = {process("silent"), process("told")};
  spec.plan.processes[1].logger = LogPolicy{.destination = LogDestination::kBoth};
  const RunView view = view_of(spec);
  EXPECT_FALSE(view.processes[0].logged);
  EXPECT_TRUE(view.processes[1].logged);
}

TEST(RunViewTest, OnlyATaskThatNamesItsResourcesHasAskedForThem) {
  RunnerSpec spec;
  const auto reading = read_task("processes: [{name: p, cmdline: 'echo \"resources\":{', max_failures: 2}]");
  ASSERT_TRUE(reading.spec);
  TaskSpec task = *reading.spec;
  spec.task_json = task_json(task);
  EXPECT_FALSE(view_of(spec).asked);
  task.resources = Resources{.cpu = 1, .ram = 1 << 20, .disk = 0};
  spec.task_json = task_json(task);
  EXPECT_TRUE(view_of(spec).asked);
}

TEST(RunViewTest, FoldersLieInTheRunFolder) {
  RunnerSpec spec;
  spec.run_folder = "/w/run";
  const RunView view = view_of(spec);
  EXPECT_EQ(view.sandbox, "/w/run/sandbox");
  EXPECT_EQ(view.log_folder, "/w/run/.logs");
}

}  // namespace
}  // namespace dewar
