#include <gtest/gtest.h>

#include "isolation/attempt_status.h"

namespace dewar {
namespace {

AttemptStatus ended() {
  AttemptStatus status;
  status.stage = AttemptStage::kEnded;
  status.launcher = {41, 1234567};
  status.pid = 42;
  status.start_time = 1.5;
  status.stop_time = 2.25;
  status.return_code = -9;
  status.core_dumped = true;
  status.leftovers = 3;
  status.step = "exec";
  status.error = 2;
  status.detail = "/bin/none";
  status.log_error = "12 bytes lost";
  return status;
}

AttemptStatus at_stage(AttemptStage stage) {
  AttemptStatus status;
  status.stage = stage;
  return status;
}

TEST(AttemptStatusCodec, CarriesEveryField) {
  const auto read = last_status(encode_status(ended()));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->stage, AttemptStage::kEnded);
  EXPECT_EQ(read->launcher, (ProcessId{41, 1234567}));
  EXPECT_EQ(read->pid, 42);
  EXPECT_EQ(read->start_time, 1.5);
  EXPECT_EQ(read->stop_time, 2.25);
  EXPECT_EQ(read->return_code, -9);
  EXPECT_TRUE(read->core_dumped);
  EXPECT_EQ(read->leftovers, 3u);
  EXPECT_EQ(read->step, "exec");
  EXPECT_EQ(read->error, 2);
  EXPECT_EQ(read->detail, "/bin/none");
  EXPECT_EQ(read->log_error, "12 bytes lost");
}

TEST(AttemptStatusCodec, TellsTheLastWholeRecordWhereverTheFileIsTorn) {
  const std::string starting = encode_status(at_stage(AttemptStage::kStarting));
  const std::string running = encode_status(at_stage(AttemptStage::kRunning));
  const std::string file = starting + running + encode_status(ended());
  for (std::size_t size = 0; size < file.size(); ++size) {
    const auto read = last_status(std::string_view(file).substr(0, size));
    if (size < starting.size()) {
      ASSERT_FALSE(read) << "torn at " << size;
      continue;
    }
    ASSERT_TRUE(read) << "torn at " << size;
    ASSERT_EQ(read->stage, size < starting.size() + running.size() ? AttemptStage::kStarting : AttemptStage::kRunning)
        << "torn at " << size;
  }
  EXPECT_EQ(last_status(file)->stage, AttemptStage::kEnded);
}

TEST(AttemptStatusCodec, NeverBelievesARecordWithAFlippedBit) {
  const std::string good = encode_status(at_stage(AttemptStage::kStarting));
  const std::string tail = encode_status(ended());
  for (std::size_t bit = 0; bit < tail.size() * 8; ++bit) {
    std::string damaged = tail;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    const auto read = last_status(good + damaged);
    ASSERT_TRUE(read);
    ASSERT_EQ(read->stage, AttemptStage::kStarting) << "byte " << bit / 8 << " bit " << bit % 8;
  }
}

TEST(AttemptStatusCodec, IgnoresABlockOfZerosAfterTheLastRecord) {
  const auto read = last_status(encode_status(ended()) + std::string(512, '\0'));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->stage, AttemptStage::kEnded);
  EXPECT_FALSE(last_status(std::string(512, '\0')));
}

TEST(AttemptStatusCodec, RefusesAStageItDoesNotKnow) {
  EXPECT_FALSE(last_status(encode_status(at_stage(static_cast<AttemptStage>(17)))));
}

TEST(LaunchReportCodec, CarriesEveryFieldAndNothingTorn) {
  LaunchReport report;
  report.step = "mount";
  report.error = 13;
  report.detail = "/srv";
  const std::string bytes = encode_report(report);
  const auto read = decode_report(bytes);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->step, "mount");
  EXPECT_EQ(read->error, 13);
  EXPECT_EQ(read->detail, "/srv");
  for (std::size_t size = 0; size < bytes.size(); ++size) EXPECT_FALSE(decode_report(bytes.substr(0, size)));
  EXPECT_FALSE(decode_report(bytes + "x"));
}

TEST(ExplainStep, NamesStepObjectReasonAndWhatToDo) {
  EXPECT_EQ(explain_step("exec", ENOENT, "/bin/none"),
            "step exec: /bin/none: No such file or directory (the program, or the interpreter it names, does not exist "
            "inside the container)");
}

TEST(ExplainStep, SaysNoMoreThanItKnows) {
  EXPECT_EQ(explain_step("hostname", EIO, ""), "step hostname: Input/output error");
  EXPECT_EQ(explain_step("something new", EIO, "x"), "step something new: x: Input/output error");
}

}  // namespace
}  // namespace dewar
