#include "agent/cli/plan_view.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "thermos/spec/reader.h"

namespace dewar {
namespace {

const char* const kTask = R"(
name: related
processes:
  - {name: fetchService, cmdline: x}
  - {name: fetchConfig, cmdline: x}
  - {name: run, cmdline: x}
  - {name: watch, cmdline: x, daemon: true, ephemeral: true}
  - {name: cleanup, cmdline: x, final: true}
  - {name: report, cmdline: x, final: true}
order: [[fetchService, run], [fetchConfig, run], [report, cleanup]]
)";

TaskSpec task_of(const std::string& text) { return read_task(text).spec.value(); }

TEST(PlanView, DrawsLevelsMarksAndWhatEachProcessWaitsFor) {
  EXPECT_EQ(draw_plan(task_of(kTask), Paint{.color = false, .utf8 = true}),
            R"(related: 4 processes on 2 levels, 2 final

  1 ┬ fetchService
    ├ fetchConfig
    └ watch         daemon, ephemeral
  ↓
  2 ─ run                              ← fetchService, fetchConfig

  finally
    ┬ report
    └ cleanup                          ← report
)");
}

TEST(PlanView, DrawsInAsciiWhereTheTerminalKnowsNoMore) {
  EXPECT_EQ(draw_plan(task_of("processes: [{name: a, cmdline: x}, {name: b, cmdline: x}]\norder: [a, b]"), Paint{}),
            R"(a: 2 processes on 2 levels

  1 - a
  v
  2 - b  <- a
)");
}

TEST(PlanView, AlignsNamesByTheColumnsTheyTake) {
  EXPECT_EQ(draw_plan(task_of("processes: [{name: 水, cmdline: x, daemon: 1}, {name: abcd, cmdline: x, daemon: 1}]"),
                      Paint{.color = false, .utf8 = true}),
            "水: 2 processes on 1 level\n\n  1 ┬ 水    daemon\n    └ abcd  daemon\n");
}

TEST(PlanView, ColorsOnlyWhenAskedTo) {
  EXPECT_EQ(draw_plan(task_of(kTask), Paint{}).find('\x1b'), std::string::npos);
  EXPECT_NE(draw_plan(task_of(kTask), Paint{.color = true, .utf8 = true}).find("\x1b["), std::string::npos);
}

TEST(PlanView, GivesProgramsExactlyLevelsEdgesAndFinal) {
  EXPECT_EQ(nlohmann::json::parse(plan_as_json(task_of(kTask))), nlohmann::json::parse(R"({
    "levels": [["fetchService", "fetchConfig", "watch"], ["run"]],
    "edges": [["fetchService", "run"], ["fetchConfig", "run"], ["report", "cleanup"]],
    "final": ["report", "cleanup"]})"));
}

TEST(PlanView, WritesDotWithQuotesEscaped) {
  EXPECT_EQ(plan_as_dot(task_of(R"(
name: q"\
processes: [{name: 'a"b', cmdline: x, daemon: true}, {name: c, cmdline: x, ephemeral: true},
            {name: f, cmdline: x, final: true}]
order: [c]
)")),
            R"(digraph "q\"\\" {
  rankdir=LR;
  node [shape=box];
  "a\"b" [peripheries=2];
  "c" [style=dashed];
  subgraph cluster_final {
    label="finally";
    "f";
  }
}
)");
}

}  // namespace
}  // namespace dewar
