// `dewar logs` as a person and as a program call it, on a work dir that a fake pump has written.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "tests/cli/dewar_command.h"
#include "tests/logs/fake_pump.h"
#include "tests/support/temp_folder.h"
#include "thermos/checkpoint.h"

namespace dewar {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using namespace std::string_literals;
using enum OutputStream;

constexpr std::int64_t kSecond = 1'000'000'000, kTime = 1'767'323'045 * kSecond;  // 2026-01-02T03:04:05Z

class LogsCommand : public testing::Test {
 protected:
  LogsCommand()
      : run_(work_ / "slaves/local/frameworks/local/executors/web-1/runs/c1"),
        checkpoint_(begin_task(run_)),
        serve_(run_ + "/.logs/serve/0"),
        fetch_(run_ + "/.logs/fetch-config/0") {
    EXPECT_EQ(::symlink("c1", (parent_of(run_) + "/latest").c_str()), 0);
    start("serve", 1);
    start("fetch-config", 1);
    fetch_.write(kStdout, "got part 1\n", kTime + 2 * kSecond);
    serve_.write(kStdout, "listening\n", kTime + 3 * kSecond);
    serve_.write(kStderr, "warning: cold cache\n", kTime + 4 * kSecond);
    fetch_.gap(kStdout, 1'258'291, GapReason::kRate, kTime + 5 * kSecond);
    fetch_.write(kStdout, "got part 9\n", kTime + 6 * kSecond);
  }

  static Checkpoint begin_task(const std::string& run) {
    EXPECT_TRUE(make_dirs(run));
    Checkpoint checkpoint = *Checkpoint::open(run + "/checkpoints", "web-1", "{}", false);
    TaskRecord record;
    record.timestamp_ms = kTime / 1'000'000;
    EXPECT_TRUE(checkpoint.append(record));
    return checkpoint;
  }

  void put(const std::string& process, ProcessState state, double time, std::int64_t seq) {
    ProcessRecord record;
    record.process = process, record.state = state, record.seq = seq;
    const double when = static_cast<double>(kTime) / 1e9 + time;
    if (state == ProcessState::kForked) record.fork_time = when;
    if (state == ProcessState::kRunning) record.start_time = when, record.pid = 1;
    if (state == ProcessState::kFailed || state == ProcessState::kSuccess) {
      record.stop_time = when;
      record.return_code = state == ProcessState::kFailed ? 3 : 0;
    }
    ASSERT_TRUE(checkpoint_.append(record));
  }
  void start(const std::string& process, double time) {
    put(process, ProcessState::kWaiting, time, 0);
    put(process, ProcessState::kForked, time, 1);
    put(process, ProcessState::kRunning, time, 2);
  }
  void end_task() {
    put("serve", ProcessState::kFailed, 7, 3);
    put("fetch-config", ProcessState::kSuccess, 8, 3);
    TaskRecord record;
    for (const auto state : {TaskState::kCleaning, TaskState::kFinalizing, TaskState::kFailed}) {
      record.state = state;
      ASSERT_TRUE(checkpoint_.append(record));
    }
    ASSERT_TRUE(checkpoint_.finish());
  }

  struct Outcome {
    int status;
    std::string out, err;
  };
  Outcome logs(std::vector<std::string> arguments, DewarCommand::Output output = DewarCommand::Output::kPipe) const {
    arguments.insert(arguments.begin(), {"logs", "--work-dir", work_.path()});
    DewarCommand command(arguments, output);
    const int status = command.wait();
    return {status, command.out(), command.err()};
  }

  TempFolder work_;
  std::string run_;
  Checkpoint checkpoint_;
  FakePump serve_, fetch_;
};

TEST_F(LogsCommand, AllProcessesAreMergedByTimeWithAlignedPrefixes) {
  const Outcome outcome = logs({"web-1"});
  EXPECT_EQ(outcome.out,
            "fetch-config │ got part 1\n"
            "serve        │ listening\n"
            "serve        ┃ warning: cold cache\n"
            "fetch-config │ -- 1.2 MB dropped: rate limit --\n"
            "fetch-config │ got part 9\n");
  EXPECT_THAT(outcome.err, IsEmpty());
  EXPECT_EQ(outcome.status, 0);
}

TEST_F(LogsCommand, OneProcessIsShownAsItWasWritten) {
  EXPECT_EQ(logs({"web-1/serve"}).out, "listening\nwarning: cold cache\n");
  EXPECT_EQ(logs({"web-1/se#0", "--stream", "stderr", "--prefix", "always"}).out, "serve ┃ warning: cold cache\n");
}

TEST_F(LogsCommand, TimesInTheirForms) {
  EXPECT_EQ(logs({"web-1/serve", "-t"}).out,
            "2026-01-02 03:04:08.000 listening\n2026-01-02 03:04:09.000 warning: cold cache\n");
  EXPECT_EQ(logs({"web-1/serve", "--timestamps", "relative"}).out,
            "   0:03.000 listening\n   0:04.000 warning: cold cache\n");
  EXPECT_EQ(logs({"web-1/serve", "--timestamps", "delta"}).out,
            "             listening\n   +0:01.000 warning: cold cache\n");
}

TEST_F(LogsCommand, FiltersByTextExpressionAndTime) {
  EXPECT_EQ(logs({"web-1", "--grep", "PART", "-i", "--prefix", "never"}).out,
            "got part 1\n-- 1.2 MB dropped: rate limit --\ngot part 9\n");
  EXPECT_EQ(logs({"web-1", "--regex", "^listen|cache$", "--prefix", "never", "--stream", "stdout", "-n", "1"}).out,
            "listening\n-- 1.2 MB dropped: rate limit --\n");
  EXPECT_EQ(
      logs({"web-1", "--since", "2026-01-02 03:04:08", "--until", "2026-01-02T04:04:09+01:00", "--prefix", "never"})
          .out,
      "listening\nwarning: cold cache\n");
  EXPECT_EQ(logs({"web-1", "-n", "1", "--prefix", "never"}).out, "-- 1.2 MB dropped: rate limit --\ngot part 9\n");
}

TEST_F(LogsCommand, JsonHasAnObjectALineWithStableNames) {
  const Outcome outcome = logs({"web-1", "-o", "json"});
  std::vector<nlohmann::json> objects;
  std::istringstream lines(outcome.out);
  for (std::string line; std::getline(lines, line);) objects.push_back(nlohmann::json::parse(line));
  ASSERT_EQ(objects.size(), 7u);
  EXPECT_EQ(objects[0], nlohmann::json::parse(R"({"time": "2026-01-02T03:04:06.000000Z", "event": "start",
      "process": "fetch-config", "run": 0})"));
  EXPECT_EQ(objects[4], nlohmann::json::parse(R"({"time": "2026-01-02T03:04:09.000000Z", "event": "line",
      "process": "serve", "run": 0, "stream": "stderr", "position": 0, "cursor": "serve#0:stderr:20",
      "text": "warning: cold cache", "continued": false, "unfinished": false, "match": true})"));
  EXPECT_EQ(objects[5], nlohmann::json::parse(R"({"time": "2026-01-02T03:04:10.000000Z", "event": "gap",
      "process": "fetch-config", "run": 0, "stream": "stdout", "position": 11, "cursor": "fetch-config#0:stdout:11:0",
      "bytes": 1258291, "reason": "rate"})"));
}

TEST_F(LogsCommand, ACursorGoesOnWhereItWasTold) {
  EXPECT_EQ(logs({"web-1", "--cursor", "serve#0:stdout:10", "--prefix", "never"}).out,
            "warning: cold cache\n-- 1.2 MB dropped: rate limit --\ngot part 9\n");
  const Outcome first = logs({"web-1", "--until", "2026-01-02 03:04:08", "--show-cursor"});
  EXPECT_EQ(first.err, "cursor: fetch-config#0:stdout:11,serve#0:stdout:10\n");
  const Outcome wrong = logs({"web-1", "--cursor", "here"});
  EXPECT_EQ(wrong.err, "dewar logs: --cursor: 'here' is no cursor: it looks like serve#0:stdout:1234\n");
  EXPECT_EQ(wrong.status, 2);
}

TEST_F(LogsCommand, WhatATaskWritesCannotSteerATerminal) {
  serve_.write(kStdout, "\x1b[2J\x1b]0;owned\a nul \0 \xff\xfe \xe2\x80\xae txt \r\x7f \xc2\x9b tab\t.\r\n"s,
               kTime + 9 * kSecond);
  const Outcome shown = logs({"web-1/serve", "-n", "1"});
  EXPECT_EQ(shown.out, "\\x1b[2J\\x1b]0;owned\\x07 nul \\x00 \\xff\\xfe \\u202e txt \\x0d\\x7f \\u009b tab\t.\n");
  const Outcome terminal = logs({"web-1/serve", "-n", "1"}, DewarCommand::Output::kTerminal);
  EXPECT_THAT(terminal.out, HasSubstr("\\x1b[2J\\x1b]0;owned\\x07"));
  EXPECT_THAT(terminal.out, Not(HasSubstr("\x1b[2J")));
  EXPECT_TRUE(nlohmann::json::accept(logs({"web-1/serve", "-n", "1", "-o", "json"}).out));
}

TEST_F(LogsCommand, RawIsByteForByteAndNotForATerminal) {
  serve_.write(kStdout, "\x1b[31mred\r\n\xff", kTime + 9 * kSecond);
  EXPECT_EQ(logs({"web-1/serve", "--raw", "--stream", "stdout"}).out, "listening\n\x1b[31mred\r\n\xff");
  const Outcome told = logs({"web-1/fetch", "--raw"});
  EXPECT_EQ(told.out, "got part 1\ngot part 9\n");
  EXPECT_EQ(told.err, "dewar logs: 1.2 MB dropped: rate limit\n");
  const Outcome terminal = logs({"web-1/serve", "--raw"}, DewarCommand::Output::kTerminal);
  EXPECT_EQ(terminal.status, 2);
  EXPECT_THAT(terminal.out, Not(HasSubstr("\x1b[31m")));
}

TEST_F(LogsCommand, ATerminalGetsColoursAndTheEndsOfRuns) {
  end_task();
  const Outcome outcome = logs({"web-1/serve"}, DewarCommand::Output::kTerminal);
  EXPECT_THAT(outcome.out, HasSubstr("-- run 0 started --"));
  EXPECT_THAT(outcome.out, HasSubstr("\x1b[31m✘ FAILED\x1b[0m"));
  EXPECT_THAT(outcome.out, HasSubstr(": exit status 3 --"));
  EXPECT_THAT(logs({"web-1/serve", "--color", "never"}, DewarCommand::Output::kTerminal).out, Not(HasSubstr("\x1b")));
}

TEST_F(LogsCommand, FollowShowsWhatComesAndEndsWithTheTask) {
  DewarCommand command({"logs", "web-1", "-f", "-n", "1", "--work-dir", work_.path()});
  ASSERT_TRUE(command.wait_for("got part 9\n"));
  EXPECT_THAT(command.out(), Not(HasSubstr("listening")));
  serve_.write(kStdout, "served\n", kTime + 7 * kSecond);
  ASSERT_TRUE(command.wait_for("serve        │ served\n"));
  end_task();
  EXPECT_EQ(command.wait(), 0);
  EXPECT_THAT(command.out(), HasSubstr("serve        │ -- run 0 ✘ FAILED: exit status 3 --\n"));
}

TEST_F(LogsCommand, WhatIsNotThereIsToldInWords) {
  const Outcome task = logs({"db"});
  EXPECT_EQ(task.err, "dewar logs: there is no task 'db' in " + work_.path() + "; there is web-1\n");
  EXPECT_EQ(task.status, 3);
  const Outcome process = logs({"web/db"});
  EXPECT_EQ(process.err, "dewar logs: task 'web-1' has no process 'db'; it has fetch-config and serve\n");
  EXPECT_EQ(process.status, 3);
  const Outcome time = logs({"web-1", "--since", "soon"});
  EXPECT_THAT(time.err, HasSubstr("--since: 'soon' is no time: use 10m (ago), 14:05"));
  EXPECT_EQ(time.status, 2);
  const Outcome regex = logs({"web-1", "--regex", "a(b"});
  EXPECT_THAT(regex.err, HasSubstr("'a(b' is no regular expression: missing ): "));
  EXPECT_EQ(regex.status, 2);
}

}  // namespace
}  // namespace dewar
