#include "agent/cli/run_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

TEST(RunViewTest, FoldersLieInTheRunFolder) {
  RunnerSpec spec;
  spec.run_folder = "/w/run";
  const RunView view = view_of(spec);
  EXPECT_EQ(view.sandbox, "/w/run/sandbox");
  EXPECT_EQ(view.log_folder, "/w/run/.logs");
}

}  // namespace
}  // namespace dewar
