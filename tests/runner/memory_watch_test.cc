#include "thermos/runner/memory_watch.h"

#include <gtest/gtest.h>

namespace dewar {
namespace {

constexpr std::uint64_t kMiB = 1u << 20;

TEST(OomWords, NameTheVictimAndTheBiggest) {
  OomReport report;
  report.victim = {12, "python3", 60 * kMiB};
  report.biggest = {report.victim, {11, "bash", 3 * kMiB}};
  EXPECT_EQ(oom_words(64 * kMiB, {"hog"}, report),
            "the memory limit of 64.0 MB was reached and the kernel killed python3 (pid 12, 60.0 MB) in hog; the "
            "biggest were python3 (pid 12, 60.0 MB), bash (pid 11, 3.0 MB); the whole task was ended with it");
}

TEST(OomWords, WithoutAReportTellWhatIsKnown) {
  EXPECT_EQ(oom_words(64 * kMiB, {"a", "b"}, std::nullopt),
            "the memory limit of 64.0 MB was reached and the kernel killed a process in a, b; the whole task was ended "
            "with it");
}

TEST(OomWords, DoNotBlameTheLimitForTheHost) {
  OomReport report;
  report.by_limit = false;
  report.victim = {12, "python3", 0};
  EXPECT_EQ(
      oom_words(64 * kMiB, {}, report),
      "the host, or a group above the task's, ran out of memory and the kernel killed python3 (pid 12); the whole "
      "task was ended with it");
}

}  // namespace
}  // namespace dewar
