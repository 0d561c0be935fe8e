#include "agent/cli/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/cli/sample_task.h"

namespace dewar {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;

class ReportTest : public testing::Test {
 protected:
  ReportTest() {
    history_.processes["serve"][0].state = ProcessState::kKilled;
    history_.processes["serve"][0].return_code = -15;
    history_.processes["serve"][0].stop_time = kStart + 30.25;
    history_.statuses.push_back(task_record(TaskState::kKilled, kStart + 31, "asked for"));
    history_.usage.cpu_user_us = 1500000;
    history_.usage.cpu_system_us = 500000;
    history_.usage.memory_peak_bytes = 64 << 20;
    history_.usage.oom_kills = 1;
    history_.usage.throttled_us = 1500000;
    history_.usage.disk_bytes = 5 << 20;
  }
  json object() const { return json::parse(report_json(sample_view(), history_, false)); }
  TaskHistory history_ = sample_history();
};

TEST_F(ReportTest, TheObjectTellsTheTask) {
  const json report = object();
  EXPECT_EQ(report["task_id"], "web-1");
  EXPECT_EQ(report["name"], "web");
  EXPECT_EQ(report["state"], "KILLED");
  EXPECT_EQ(report["reason"], "asked for");
  EXPECT_EQ(report["sandbox"], "/w/sandbox");
  EXPECT_EQ(report["ports"], json({{"http", 31000}}));
  EXPECT_EQ(report["states"][1], json({{"state", "KILLED"}, {"time", "2026-01-02T03:04:36.000000Z"}}));
  EXPECT_EQ(report["usage"]["cpu_seconds"], 2.0);
  EXPECT_EQ(report["usage"]["memory_peak_bytes"], 67108864);
  EXPECT_EQ(report["usage"]["oom_kills"], 1);
  EXPECT_EQ(report["usage"]["throttled_seconds"], 1.5);
  EXPECT_EQ(report["usage"]["forks_refused"], nullptr);
  const json& limits = report["limits"];
  EXPECT_EQ(limits["cpu"], 1.5);
  EXPECT_EQ(limits["cpu_quota"], nullptr);
  EXPECT_EQ(limits["cpuset"], nullptr);
  EXPECT_EQ(limits["memory_bytes"], 134217728);
  EXPECT_EQ(limits["memory_soft_bytes"], nullptr);
  EXPECT_EQ(limits["swap_bytes"], 0);
  EXPECT_EQ(limits["pids"], 50);
  EXPECT_EQ(limits["hugetlb_bytes"], json::object());
  EXPECT_EQ(limits["io"]["write_bps"], nullptr);
  EXPECT_EQ(report["usage"]["disk_bytes"], 5u << 20);
  EXPECT_EQ(report["usage"]["disk_inodes"], nullptr);
  EXPECT_EQ(limits["disk_bytes"], 4u << 20);
  EXPECT_EQ(limits["disk_inodes"], nullptr);
  EXPECT_EQ(limits["log_bytes"], 1u << 20);
  EXPECT_EQ(limits["disk_backend"], "counting");
}

TEST_F(ReportTest, TheObjectTellsEveryRunOfEveryProcess) {
  const json report = object();
  ASSERT_EQ(report["processes"].size(), 3u);
  EXPECT_EQ(report["processes"][0]["runs"].size(), 2u);
  json run = report["processes"][0]["runs"][0];
  EXPECT_EQ(run["usage"].size(), std::size(kUsageFields) + 2);
  EXPECT_EQ(run["usage"]["wall_seconds"], 1.0);
  EXPECT_EQ(run["usage"]["cpu_seconds"], 0.4);
  EXPECT_EQ(run["usage"]["cpu_user_seconds"], 0.25);
  EXPECT_EQ(run["usage"]["cpu_system_seconds"], 0.15);
  EXPECT_EQ(run["usage"]["memory_peak_bytes"], 12582912);
  EXPECT_EQ(run["usage"]["io_read_bytes"], nullptr);
  EXPECT_EQ(run["limits"], nullptr);
  run.erase("usage");
  run.erase("limits");
  EXPECT_EQ(run, json({{"run", 0},
                       {"state", "FAILED"},
                       {"return_code", 22},
                       {"pid", nullptr},
                       {"forked", "2026-01-02T03:04:06.000000Z"},
                       {"started", "2026-01-02T03:04:06.000000Z"},
                       {"stopped", "2026-01-02T03:04:07.000000Z"},
                       {"stdout", "/w/.logs/fetch/0/stdout"},
                       {"stderr", "/w/.logs/fetch/0/stderr"},
                       {"reason", "exit status 22"}}));
  EXPECT_EQ(report["processes"][1]["runs"][0]["stopped"], "2026-01-02T03:04:35.250000Z");
  EXPECT_EQ(report["processes"][2], json({{"name", "report"}, {"runs", json::array()}}));
}

TEST_F(ReportTest, WhatIsUnknownIsNull) {
  TaskHistory empty;
  RunHistory lost;
  lost.state = ProcessState::kLost;
  empty.processes["report"] = {lost};
  const json report = json::parse(report_json(sample_view(), empty, true));
  EXPECT_EQ(report["reason"], nullptr);
  const json& run = report["processes"][2]["runs"][0];
  for (const char* field : {"return_code", "started", "stopped"}) EXPECT_EQ(run[field], nullptr) << field;
  EXPECT_EQ(run["stdout"], nullptr) << "its output goes to no file";
}

TEST_F(ReportTest, ARunThatOnlyWaitedNeverRan) {
  history_.processes["report"] = {RunHistory{}};
  EXPECT_EQ(object()["processes"][2]["runs"], json::array());
}

TEST_F(ReportTest, TheSummaryNamesTheLogsOfWhatWentWrongAndTheTotals) {
  EXPECT_THAT(summary_lines(sample_view(), history_, {}),
              ElementsAre("# KILLED  web-1: asked for",                   //
                          "  # KILLED  serve#0: killed by SIGTERM (15)",  //
                          "      /w/.logs/serve/0/stdout",                //
                          "      /w/.logs/serve/0/stderr",                //
                          "  used     2.00 CPU seconds in 31.00 s, at most 64.0 MB of memory, killed 1 time for lack "
                          "of memory, held back 1.50 s by its CPU quota",
                          "  advice   ram 128.0 MB was not enough, and the kernel killed 1 process: try 192.0 MB",
                          "  advice   disk 4.0 MB is full with 5.0 MB: try 6.0 MB",
                          "  advice   cpu 1.5 asked, 0.0645 used on average",
                          "  logs     /w/.logs",  //
                          "  sandbox  /w/sandbox"));
}

}  // namespace
}  // namespace dewar
