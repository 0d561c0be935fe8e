#include "agent/cli/moment.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

namespace dewar {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000, kNow = 1'767'323'045 * kSecond;  // 2026-01-02T03:04:05Z

class MomentTest : public testing::Test {
 protected:
  MomentTest() {
    ::setenv("TZ", "CET-1", 1);
    ::tzset();
  }
  ~MomentTest() override {
    ::unsetenv("TZ");
    ::tzset();
  }
  static std::string parsed(const std::string& text) {
    const auto moment = parse_moment(text, kNow);
    return moment ? format_moment(*moment) : moment.error().message();
  }
};

TEST_F(MomentTest, EveryFormPeopleUse) {
  EXPECT_EQ(parsed("10m"), "2026-01-02T02:54:05.000000Z");
  EXPECT_EQ(parsed("04:04"), "2026-01-02T03:04:00.000000Z");
  EXPECT_EQ(parsed("14:05:30"), "2026-01-01T13:05:30.000000Z") << "yesterday: today it is not yet so late";
  EXPECT_EQ(parsed("2026-01-02"), "2026-01-01T23:00:00.000000Z");
  EXPECT_EQ(parsed("2026-01-02 03:04"), "2026-01-02T02:04:00.000000Z");
  EXPECT_EQ(parsed("2026-01-02T03:04:05.25Z"), "2026-01-02T03:04:05.250000Z");
  EXPECT_EQ(parsed("2026-01-02T03:04:05-02:30"), "2026-01-02T05:34:05.000000Z");
}

TEST_F(MomentTest, AnythingElseIsRefusedWithWhatWouldBeRight) {
  for (const char* text : {"", "soon", "10 minutes", "25:00", "2026-01-02x", "2026-01-02T03:04:05+1", "-5m"})
    EXPECT_EQ(parsed(text),
              "'" + std::string(text) + "' is no time: use 10m (ago), 14:05, 2026-01-02 14:05 or 2026-01-02T14:05:00Z");
}

TEST_F(MomentTest, LocalTimeForPeople) { EXPECT_EQ(local_moment(kNow + 678'900'000), "2026-01-02 04:04:05.678"); }

}  // namespace
}  // namespace dewar
