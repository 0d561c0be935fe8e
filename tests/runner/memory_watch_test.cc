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
            "whole task was ended with it");
  EXPECT_EQ(oom_details(64 * kMiB, Usage{}, report),
            (std::map<std::string, std::string>{{"cause", "memory"},
                                                {"ends", "task"},
                                                {"level", "task"},
                                                {"limit_bytes", "67108864"},
                                                {"victim_pid", "12"},
                                                {"victim_name", "python3"},
                                                {"victim_bytes", "62914560"},
                                                {"biggest.1", "62914560 12 python3"},
                                                {"biggest.2", "3145728 11 bash"}}));
}

TEST(OomWords, WithoutAReportTellWhatIsKnown) {
  EXPECT_EQ(oom_words(64 * kMiB, {"a", "b"}, std::nullopt),
            "the memory limit of 64.0 MB was reached and the kernel killed a process in a, b; the whole task was ended "
            "with it");
}

TEST(OomWords, DoNotBlameTheLimitForTheHost) {
  OomReport report;
  report.level = OomLevel::kHost;
  report.victim = {12, "python3", 0};
  EXPECT_EQ(oom_words(64 * kMiB, {}, report),
            "the host ran out of memory and the kernel killed python3 (pid 12); the whole task was ended with it");
  report.level = OomLevel::kAbove;
  EXPECT_EQ(oom_words(64 * kMiB, {}, report),
            "a group above the task's reached its memory limit and the kernel killed python3 (pid 12); the whole task "
            "was ended with it");
}

}  // namespace
}  // namespace dewar
