#include "agent/cli/events.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

#include "tests/cli/sample_task.h"

namespace dewar {
namespace {

class EventsTest : public testing::Test {
 protected:
  void SetUp() override {
    setenv("TZ", "UTC", 1);
    tzset();
  }
  std::string line(const Record& record) const { return event_line(record, history_, {}); }
  std::string json(const Record& record) const { return event_json(sample_view(), record, history_); }
  TaskHistory history_ = sample_history();
};

TEST_F(EventsTest, AProcessThatRunsIsToldWithItsRunAndPid) {
  ProcessRecord record = process_record("serve", ProcessState::kRunning);
  record.start_time = kStart + 9;
  record.pid = 4711;
  EXPECT_EQ(line(record), "03:04:14.000 serve#0 RUNNING pid 4711");
  EXPECT_EQ(json(record),
            R"({"time":"2026-01-02T03:04:14.000000Z","event":"process","process":"serve","run":0,"state":"RUNNING",)"
            R"("pid":4711})");
}

TEST_F(EventsTest, AFailureIsToldWithItsCodeAndReason) {
  history_.processes["fetch"].pop_back();
  ProcessRecord record = process_record("fetch", ProcessState::kFailed);
  record.stop_time = kStart + 2;
  record.return_code = 22;
  EXPECT_EQ(line(record), "03:04:07.000 fetch#0 FAILED return code 22: exit status 22");
}

TEST_F(EventsTest, TheTasksStatesAreToldWithTheirReason) {
  const TaskRecord record = task_record(TaskState::kKilled, kStart + 0.005, "asked\nfor");
  EXPECT_EQ(line(record), "03:04:05.005 task KILLED: asked?for");
  EXPECT_EQ(json(record),
            R"({"time":"2026-01-02T03:04:05.005000Z","event":"task","state":"KILLED","reason":"asked\nfor"})");
}

TEST_F(EventsTest, TheHeaderTellsThePorts) {
  const HeaderRecord record{.task_id = "web-1",
                            .launch_time_ms = static_cast<std::int64_t>(kStart * 1e3),
                            .sandbox = "/w/sandbox",
                            .log_dir = "/w/.logs",
                            .hostname = "h",
                            .user = "nobody",
                            .uid = 65534,
                            .ports = {{"http", 31000}},
                            .address = {}};
  EXPECT_EQ(line(record), "03:04:05.000 task web-1 on h as user nobody, port http 31000");
  EXPECT_NE(json(record).find(R"("ports":{"http":31000})"), std::string::npos);
}

TEST_F(EventsTest, WaitingIsToldToProgramsOnly) {
  const ProcessRecord record = process_record("report", ProcessState::kWaiting);
  EXPECT_EQ(line(record), "");
  EXPECT_EQ(json(record), R"({"time":null,"event":"process","process":"report","run":0,"state":"WAITING"})");
}

TEST_F(EventsTest, AnEventTellsItsKindAndWhoseItIs) {
  EventRecord event{kStart, "disk", "", 0, "the sandbox is full"};
  EXPECT_EQ(line(event), "03:04:05.000 disk: the sandbox is full");
  EXPECT_EQ(json(event), R"({"time":"2026-01-02T03:04:05.000000Z","event":"notice","kind":"disk",)"
                         R"("message":"the sandbox is full"})");
  event.process = "serve";
  event.run = 2;
  EXPECT_EQ(line(event), "03:04:05.000 serve#2 disk: the sandbox is full");
}

TEST(LossReasons, AreTheSameWhenOnlyTheAmountHasGrown) {
  const std::string began = loss_reasons("stdout: 17 B lost: No space left on device");
  EXPECT_EQ(began, loss_reasons("stdout: 1.5 MB lost: No space left on device"));
  EXPECT_NE(
      began,
      loss_reasons("stdout: 1.5 MB lost: No space left on device; 2.0 KB of output dropped: the disk did not keep up"));
}

TEST_F(EventsTest, EvidenceIsForProgramsOnly) {
  const EventRecord event{kStart, "end", "serve", 2, "", {{"cause", "crash"}, {"fault_address", "0x10"}}};
  EXPECT_EQ(line(event), "");
  EXPECT_EQ(json(event), R"({"time":"2026-01-02T03:04:05.000000Z","event":"notice","kind":"end","process":"serve",)"
                         R"("run":2,"message":"","details":{"cause":"crash","fault_address":"0x10"}})");
}

TEST_F(EventsTest, SamplesAreNoEvents) {
  SampleRecord sample;
  sample.process = "serve";
  EXPECT_EQ(line(sample), "");
  EXPECT_EQ(json(sample), "");
}

}  // namespace
}  // namespace dewar
