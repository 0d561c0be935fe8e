#include "agent/cli/words.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

#include "tests/cli/sample_task.h"

namespace dewar {
namespace {

TEST(WordsTest, AStateHasASignAndAWord) {
  EXPECT_EQ(sign_and_word(ProcessState::kSuccess, {.utf8 = true}), "✔ SUCCESS");
  EXPECT_EQ(sign_and_word(ProcessState::kFailed, {}), "x FAILED");
  EXPECT_EQ(sign_and_word(TaskState::kFinalizing, {}), "o FINALIZING");
}

TEST(WordsTest, TheRecordedReasonIsTold) {
  RunHistory run = ended(ProcessState::kFailed, -9, 0, 1);
  run.reason = "out of memory";
  EXPECT_EQ(why(run), "out of memory");
}

TEST(WordsTest, WithoutAReasonTheCodeIsPutIntoWords) {
  EXPECT_EQ(why(ended(ProcessState::kFailed, 3, 0, 1)), "exit status 3");
  EXPECT_EQ(why(ended(ProcessState::kKilled, -15, 0, 1)), "killed by SIGTERM (15)");
  EXPECT_EQ(why(ended(ProcessState::kKilled, -40, 0, 1)), "killed by signal 40");
}

TEST(WordsTest, ARunThatWentWellOrGoesOnHasNoReason) {
  EXPECT_EQ(why(ended(ProcessState::kSuccess, 0, 0, 1)), "");
  RunHistory run;
  run.state = ProcessState::kRunning;
  EXPECT_EQ(why(run), "");
}

TEST(WordsTest, TimesAreLocal) {
  setenv("TZ", "UTC-2", 1);
  tzset();
  EXPECT_EQ(clock_time(kStart), "05:04:05");
  EXPECT_EQ(clock_time(kStart + 0.0625, true), "05:04:05.062");
  setenv("TZ", "UTC", 1);
  tzset();
  EXPECT_EQ(clock_time(kStart + 0.9996, true), "03:04:05.999");
}

}  // namespace
}  // namespace dewar
