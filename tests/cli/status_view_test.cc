#include "agent/cli/status_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "agent/cli/receipt.h"
#include "agent/cli/sparkline.h"
#include "tests/cli/sample_task.h"

namespace dewar {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr Paint kPlain{.color = false, .utf8 = true}, kAscii{}, kColors{.color = true, .utf8 = true};

Amount cpu(const Usage& usage) { return usage.cpu_us(); }
Amount memory(const Usage& usage) { return usage.memory_bytes; }

/// A second each: half a core in the first half, nothing in the second; memory grows by a MiB a second.
UsageHistory half_busy(std::uint32_t seconds) {
  UsageHistory history;
  for (std::uint32_t i = 0; i < seconds; ++i) {
    UsagePoint point{.tick = i, .time = kStart + i, .samples = 1, .usage = {}};
    point.usage.cpu_user_us = std::min(i, seconds / 2) * 500000;
    point.usage.cpu_system_us = 0;
    point.usage.memory_bytes = std::int64_t{i} << 20;
    history.points.push_back(point);
  }
  return history;
}

TEST(Sparkline, IsAColumnPerNumberAndABlankWhereNothingIsKnown) {
  EXPECT_EQ(sparkline({0, 4, std::nullopt, 8}, 8, kPlain), "▁▄ █");
  EXPECT_EQ(sparkline({0, 4, std::nullopt, 8}, 8, kAscii), "_- #");
  EXPECT_EQ(sparkline({16, 8}, 8, kPlain), "█▄") << "what is above the top makes a new one";
  EXPECT_EQ(sparkline({0, 0}, 0, kPlain), "▁▁");
  EXPECT_EQ(sparkline({}, 8, kPlain), "");
}

TEST(Sparkline, RatesAndGaugesAreMeansOfEqualParts) {
  const UsageHistory history = half_busy(40);
  const Series rates = rate_series(history, cpu, 4);
  ASSERT_EQ(rates.size(), 4u);
  EXPECT_EQ(rates[0], 500000);
  EXPECT_EQ(rates[3], 0);
  EXPECT_EQ(gauge_series(history, memory, 4)[0], 4.5 * (1 << 20));
  EXPECT_EQ(latest_rate(history, cpu), 0);
}

TEST(Sparkline, AShortHistoryFillsTheEndOfTheRow) {
  EXPECT_EQ(sparkline(gauge_series(half_busy(2), memory, 4), 1, kPlain), "  ▁█");
}

TEST(Sparkline, AGapAndACounterThatBeganAnewHaveNoRate) {
  UsageHistory history = half_busy(10);
  history.points.erase(history.points.begin() + 3, history.points.begin() + 6);
  history.points[4].usage.cpu_user_us = 0;
  const Series rates = rate_series(history, cpu, 10);
  EXPECT_EQ(rates[2], 500000);
  for (const std::size_t at : {3, 4, 5, 6}) EXPECT_EQ(rates[at], std::nullopt) << at;
}

TEST(Ages, AreShort) {
  EXPECT_EQ(age_text(0.42), "0.4s");
  EXPECT_EQ(age_text(59), "59s");
  EXPECT_EQ(age_text(75), "1m15s");
  EXPECT_EQ(age_text(7385), "2h03m");
  EXPECT_EQ(age_text(200000), "2d07h");
  EXPECT_EQ(age_text(std::nan("")), "0.0s");
  EXPECT_EQ(age_text(1e300), age_text(1e12));
}

class StatusViewTest : public testing::Test {
 protected:
  StatusViewTest() {
    status_.run_folder = ref_.run_folder = "/w/run";
    status_.view = sample_view();
    status_.history = sample_history();
    status_.runner_lives = true;
    status_.begun = kStart;
    status_.task_usage = half_busy(600);
    Usage& usage = status_.usage;
    usage = status_.task_usage.points.back().usage;
    usage.memory_bytes = 100 << 20;
    usage.memory_peak_bytes = 120 << 20;
    usage.pids = 3;
    usage.throttled_us = 2500000;
    status_.history.usage = usage;
    status_.run_usage[{"serve", 0}] = half_busy(100);
    ref_.task_id = "web-1";
  }
  std::string text(const Paint& paint = kPlain, std::size_t width = 80) const {
    std::string text;
    for (const std::string& line : status_lines(status_, ref_, kStart + 600, width, paint)) text += line + "\n";
    return text;
  }

  TaskStatus status_;
  TaskRef ref_;
};

TEST_F(StatusViewTest, ShowsStateNumbersProcessesAndAdvice) {
  status_.advice = {{"ram", true, "ram 128.0 MB was full"}, {"cpu", false, "cpu 4 asked"}};
  const std::string shown = text();
  SCOPED_TRACE(shown);
  EXPECT_THAT(shown, HasSubstr("▶ ACTIVE  web  for 10m00s  http=31000\n"));
  EXPECT_THAT(shown, HasSubstr("web-1 in /w/run\n"));
  EXPECT_THAT(shown, HasSubstr("100.0 MB"));
  EXPECT_THAT(shown, HasSubstr("peak 120.0 MB"));
  EXPECT_THAT(shown, HasSubstr("128.0 MB (94 %)"));
  EXPECT_THAT(shown, HasSubstr("waited 2.50s for its quota"));
  EXPECT_THAT(shown, HasSubstr("serve"));
  EXPECT_THAT(shown, HasSubstr("▲ ram 128.0 MB was full\n"));
  EXPECT_THAT(shown, HasSubstr("▽ cpu 4 asked\n"));
}

TEST_F(StatusViewTest, TellsTheHealthOfATaskThatIsAsked) {
  EXPECT_THAT(text(), Not(HasSubstr("check")));
  HealthRecord& health = status_.health.emplace();
  health.state.checks = 1;
  EXPECT_THAT(text(kPlain, 200), HasSubstr("  not healthy yet: 1 check\n"));
  health.state = {TaskHealth::kHealthy, 12, 9, 0, 0};
  health.add({kStart + 597, true, std::chrono::milliseconds(4), "answered 200 \x1b[2JOK"});
  EXPECT_THAT(text(kPlain, 200), HasSubstr("  healthy: 12 checks, the last 3.0s ago: answered 200 ?[2JOK\n"));
  health.state = {TaskHealth::kHealthy, 14, 0, 2, 2};
  EXPECT_THAT(text(kPlain, 200), HasSubstr("  ▲ healthy: the last 2 of 14 checks failed, 3.0s ago: answered"));
  health.state.health = TaskHealth::kTooLate;
  EXPECT_THAT(text(kPlain, 200), HasSubstr("  ▲ unhealthy: the last 2 of 14 checks failed, "));
  const json told = json::parse(status_json(status_, ref_, kStart + 600, false))["health"];
  EXPECT_EQ(told["state"], "unhealthy");
  EXPECT_EQ(told["checks"], 14);
  EXPECT_EQ(told["failed"], 2);
  EXPECT_EQ(told["last"][0]["passed"], true);
  EXPECT_EQ(told["last"][0]["seconds"], 0.004);
  EXPECT_EQ(told["last"][0]["time"], "2026-01-02T03:14:02.000000Z");
  status_.health.reset();
  EXPECT_EQ(json::parse(status_json(status_, ref_, kStart + 600, false))["health"], nullptr);
}

TEST_F(StatusViewTest, NoLineIsWiderThanTheTerminalInAnyForm) {
  status_.health.emplace().add({kStart, false, {}, std::string(300, 'y')});
  status_.advice = {{"ram", true, std::string(200, 'x')}};
  for (const Paint& paint : {kPlain, kAscii}) {
    for (const std::size_t width : {20, 40, 80, 200}) {
      for (const std::string& line : status_lines(status_, ref_, kStart + 600, width, paint))
        EXPECT_LE(columns_of(line), width) << line;
      for (const std::string& line : task_list_lines({status_}, kStart + 600, width, paint))
        EXPECT_LE(columns_of(line), width) << line;
    }
  }
}

/// A task whose names are long: `count` processes that differ in their beginning or their end alone.
void give_long_names(TaskStatus& status, std::size_t count) {
  status.view.processes.clear();
  status.history.processes.clear();
  RunHistory run;
  run.state = ProcessState::kRunning;
  run.fork_time = run.start_time = kStart;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string number = std::to_string(i), long_part = "-that-answers-related-questions";
    ProcessView process;
    process.name = i % 2 == 0 ? "worker" + long_part + "-of-shard-" + number : "shard-" + number + long_part;
    status.history.processes[process.name] = {run};
    status.run_usage[{process.name, 0}] = half_busy(100);
    status.view.processes.push_back(process);
  }
}

TEST_F(StatusViewTest, NamesThatAreCutCanStillBeToldApart) {
  give_long_names(status_, 30);
  for (const std::size_t width : {80, 120}) {
    std::set<std::string> names;
    const auto lines = status_lines(status_, ref_, kStart + 600, width, kPlain);
    for (const std::string& line : lines) EXPECT_LE(columns_of(line), width) << line;
    for (const std::string& line : lines)
      if (const std::size_t end = line.find("  0  "); line.find("shard-") != line.npos)
        names.insert(line.substr(0, end));
    EXPECT_EQ(names.size(), 30u) << width << "\n" << text(kPlain, width);
  }
  EXPECT_THAT(text(kPlain, 80), Not(HasSubstr("cpu lately"))) << "names come first";
  EXPECT_THAT(text(kPlain, 120), HasSubstr("cpu lately"));
}

TEST_F(StatusViewTest, IdsInTheListKeepTheirEnd) {
  status_.view.task_id = std::string(60, 'x') + "-20261126-184500.482912";
  EXPECT_THAT(task_list_lines({status_}, kStart + 600, 80, kPlain)[1],
              testing::ContainsRegex("^x+…[-0-9]*\\.482912  "));
}

TEST_F(StatusViewTest, AReasonIsToldWhole) {
  const std::string reason =
      "the memory limit of 64.0 MB was reached and the kernel killed python3 (pid 4711, 63.1 MB)";
  status_.history.statuses.back().reason = reason;
  std::string joined;
  for (const std::string& line : status_lines(status_, ref_, kStart + 600, 80, kPlain))
    joined += line.substr(std::min<std::size_t>(line.size(), 1));
  EXPECT_THAT(joined, HasSubstr(reason));
}

TEST_F(StatusViewTest, APathThatDoesNotFitHasALineOfItsOwn) {
  status_.run_folder = ref_.run_folder = "/" + std::string(90, 'p') + "/b370c9b2";
  EXPECT_THAT(text(), HasSubstr("\n  web-1\n  /ppp"));
  EXPECT_THAT(text(), HasSubstr("/b370c9b2\n"));
  EXPECT_THAT(text(kPlain, 120), HasSubstr("\n  web-1 in /ppp"));
}

TEST_F(StatusViewTest, WhenAFailureWasIsNotCutOff) {
  RunHistory& run = status_.history.processes["fetch"].back();
  run.state = ProcessState::kFailed, run.stop_time = kStart + 590, run.reason = std::string(200, 'z');
  EXPECT_THAT(text(), HasSubstr("\n  └ run 1, 10s ago: zzz"));
}

TEST_F(StatusViewTest, AProcessThatHasNotBegunWaitsOrWasNotRun) {
  ProcessView next, last;
  next.name = "next", last.name = "last", last.final = true;
  status_.view.processes = {next, last};
  EXPECT_THAT(text(), HasSubstr("  next          · WAITING\n  last          · final\n"));
  status_.ended = kStart + 600;
  EXPECT_THAT(text(), HasSubstr("  next          – not run\n  last          – not run\n"));
}

TEST_F(StatusViewTest, NothingStandsBehindTheEndOfALine) {
  status_.task_usage.points.resize(1);
  for (const std::string& line : status_lines(status_, ref_, kStart + 600, 80, kPlain))
    EXPECT_FALSE(line.ends_with(' ')) << "'" << line << "'";
}

TEST_F(StatusViewTest, SentencesHaveNoColourSignsHave) {
  status_.runner_lives = false;
  status_.advice = {{"ram", true, "ram 128.0 MB was full"}};
  EXPECT_THAT(text(kColors), HasSubstr("\x1b[33m▲ \x1b[0mits runner is gone"));
  EXPECT_THAT(text(kColors), HasSubstr("\x1b[33m▲ \x1b[0mram 128.0 MB was full\n"));
}

TEST_F(StatusViewTest, WithoutColoursThereAreNone) {
  EXPECT_THAT(text(kPlain), Not(HasSubstr("\x1b")));
  EXPECT_THAT(text(kColors), HasSubstr("\x1b"));
}

TEST_F(StatusViewTest, ARunnerThatIsGoneIsSaid) {
  EXPECT_THAT(text(), Not(HasSubstr("its runner is gone")));
  status_.runner_lives = false;
  EXPECT_THAT(text(), HasSubstr("its runner is gone"));
  EXPECT_THAT(task_list_lines({status_}, kStart + 600, 80, kPlain)[1], HasSubstr("no runner"));
}

TEST_F(StatusViewTest, AProcessHasARowForEachRun) {
  ref_.process = "fetch";
  const std::string shown = text();
  SCOPED_TRACE(shown);
  EXPECT_THAT(shown, HasSubstr("✘ FAILED"));
  EXPECT_THAT(shown, HasSubstr("✔ SUCCESS"));
  EXPECT_THAT(shown, Not(HasSubstr("serve")));
}

TEST_F(StatusViewTest, ARunHasItsReceipt) {
  ref_.process = "fetch", ref_.run = 0;
  RunHistory& run = status_.history.processes["fetch"][0];
  run.usage.io_read_bytes = 5 << 20, run.usage.io_write_bytes = 0, run.usage.io_reads = 7, run.usage.io_writes = 0;
  run.usage.io_some_us = 1500000;
  run.limits = "cpu=1.5 memory=134217728";
  for (const char* words : {"stdout: 4.0 KB lost", "stdout: 9.0 MB lost: the disk is full"})
    ASSERT_TRUE(status_.history.apply(EventRecord{kStart, std::string(kOutputEvent), "fetch", 0, words}));
  ASSERT_TRUE(status_.history.apply(EventRecord{kStart, std::string(kOutputEvent), "fetch", 1, "of another run"}));
  const std::string shown = text();
  SCOPED_TRACE(shown);
  EXPECT_THAT(shown, HasSubstr("exit status 22"));
  EXPECT_THAT(shown, HasSubstr("0.40s: 0.25s itself, 0.15s in the kernel"));
  EXPECT_THAT(shown, HasSubstr("12.0 MB"));
  EXPECT_THAT(shown, HasSubstr("read 5.0 MB in 7 operations, wrote 0 B in 0"));
  EXPECT_THAT(shown, HasSubstr("1.50s for disks"));
  EXPECT_THAT(shown, HasSubstr("\n  output       stdout: 9.0 MB lost: the disk is full\n"));
  EXPECT_THAT(shown, Not(HasSubstr("4.0 KB lost"))) << "the sum alone";
  EXPECT_THAT(shown, Not(HasSubstr("of another run")));
  EXPECT_THAT(shown, HasSubstr("cpu 1.5, ram 128.0 MB, no swap"));
}

TEST_F(StatusViewTest, NamesCannotSteerTheTerminal) {
  status_.view.name = "a\x1b[2Jb";
  ref_.task_id = "c\x1b[2Jd";
  EXPECT_THAT(text(), Not(HasSubstr("\x1b")));
}

TEST_F(StatusViewTest, JsonHasTheReportAndOnRequestTheHistory) {
  const json few = json::parse(status_json(status_, ref_, kStart + 600, false));
  EXPECT_EQ(few["task_id"], "web-1");
  EXPECT_EQ(few["run_folder"], "/w/run");
  EXPECT_EQ(few["runner_lives"], true);
  EXPECT_EQ(few["usage"]["wall_seconds"], 600.0);
  EXPECT_EQ(few["usage"]["io_read_bytes"], nullptr);
  EXPECT_FALSE(few.contains("history"));
  const json all = json::parse(status_json(status_, ref_, kStart + 600, true));
  ASSERT_EQ(all["history"]["points"].size(), 600u);
  EXPECT_EQ(all["history"]["seconds"], 1);
  EXPECT_EQ(all["history"]["points"][2]["cpu_user_seconds"], 1.0);
  EXPECT_EQ(all["history"]["points"][2]["time"], "2026-01-02T03:04:07.000000Z");
  const json list = json::parse(task_list_json({status_}, kStart + 600));
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0]["state"], "ACTIVE");
  EXPECT_EQ(list[0]["ended"], nullptr);
}

TEST(Receipt, OfARunIsNullWhereNothingIsKnown) {
  JsonWriter writer;
  writer.begin_object();
  put_receipt(writer, Usage{}, -1);
  put_lived_under(writer, "");
  put_advice(writer, {});
  const json told = json::parse(writer.end_object().take());
  for (const auto& [name, value] : told["usage"].items()) EXPECT_TRUE(value.is_null()) << name;
  EXPECT_EQ(told["usage"].size(), std::size(kUsageFields) + 2);
  EXPECT_EQ(told["limits"], nullptr);
  EXPECT_THAT(told["advice"], IsEmpty());
}

TEST(Receipt, AdviceGoesByTheLimitsOfTheEnd) {
  TaskHistory history = sample_history();
  RunView view = sample_view();
  view.limits.memory = 64u << 20;
  history.usage.memory_peak_bytes = 60 << 20;
  EXPECT_THAT(advice_of(view, history, kStart + 100), IsEmpty());
  history.limits = "memory=1073741824";
  const auto advice = advice_of(view, history, kStart + 100);
  ASSERT_EQ(advice.size(), 1u);
  EXPECT_EQ(advice[0].words, "ram 1.0 GB asked, 60.0 MB peak: 96.0 MB would do");
}

}  // namespace
}  // namespace dewar
