#include "agent/cli/live_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

#include "tests/cli/sample_task.h"

namespace dewar {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class LiveTableTest : public testing::Test {
 protected:
  void SetUp() override {
    setenv("TZ", "UTC", 1);
    tzset();
  }
  std::string shown(std::size_t width, const Paint& paint = {.utf8 = true}) const {
    std::string text;
    for (const Line& line : table_lines(view_, history_, kStart + 12.5, width, paint)) text += line.text + "\n";
    return text;
  }
  RunView view_ = sample_view();
  TaskHistory history_ = sample_history();
};

TEST_F(LiveTableTest, ShowsAProcessARowInTheOrderOfTheGraph) {
  EXPECT_EQ(shown(100),
            "▶ ACTIVE  web  0:12  http=31000\n"
            "name    run  status     return code   started  finished    cpu       ram\n"
            "fetch     1  ✔ SUCCESS            0  03:04:12  03:04:13  0.40s   12.0 MB\n"
            "serve     0  ▶ RUNNING               03:04:14             0.25    3.0 MB\n"
            "report       – final\n");
}

TEST_F(LiveTableTest, ShowsTheDiskOfATaskWhoseDiskIsLimited) {
  history_.usage.memory_bytes = 3 << 20;
  EXPECT_THAT(shown(100), Not(HasSubstr("disk")));
  history_.usage.disk_bytes = 5 << 20;
  EXPECT_THAT(shown(100), HasSubstr("ram 3.0 MB  disk 5.0 MB\n"));
}

TEST_F(LiveTableTest, TellsBeneathTheRowWhyARunFailed) {
  history_.processes["fetch"].pop_back();
  history_.processes["fetch"][0].reason = "exit status 22\n";
  EXPECT_THAT(shown(100), HasSubstr("✘ FAILED            22  03:04:06  03:04:07  0.40s   12.0 MB\n"
                                    "  └ run 0: exit status 22?\n"));
}

TEST_F(LiveTableTest, AFailureOfAnEarlierRunIsToldWhileTheNextOneGoesOn) {
  history_.processes["fetch"][1] = history_.processes["serve"][0];
  EXPECT_THAT(shown(100), HasSubstr("  └ run 0: exit status 22\n"));
}

TEST_F(LiveTableTest, AFailureIsForgivenOnceALaterRunSucceeds) { EXPECT_THAT(shown(100), Not(HasSubstr("└"))); }

TEST_F(LiveTableTest, AFetchHasABarBeneathItsRow) {
  history_.processes["serve"][0].progress = "svc.tgz: 45 % of 300.0 MB, 120.0 MB/s, 2s left";
  EXPECT_THAT(shown(100), HasSubstr("  └ [█████████░░░░░░░░░░░] svc.tgz: 45 % of 300.0 MB, 120.0 MB/s, 2s left\n"));
  history_.processes["serve"][0].progress = "svc.tgz: 3.0 MB, 1.0 MB/s";
  EXPECT_THAT(shown(100), HasSubstr("  └ svc.tgz: 3.0 MB, 1.0 MB/s\n")) << "no bar of what has no known end";
}

TEST_F(LiveTableTest, NoLineIsWiderThanTheTerminal) {
  view_.processes[0].name = view_.name = "a-name-that-is-longer-than-anybody-would-give-to-a-process-日本語";
  history_.processes[view_.name] = history_.processes["fetch"];
  history_.processes[view_.name][1].state = ProcessState::kFailed;
  history_.processes[view_.name][1].reason = std::string(300, 'x');
  for (std::size_t width = 1; width < 140; ++width) {
    for (const Line& line : table_lines(view_, history_, kStart, width, {})) {
      EXPECT_LE(columns_of(line.text), width);
      EXPECT_EQ(columns_of(line.text), line.columns);
    }
  }
}

TEST_F(LiveTableTest, AtEightyColumnsEveryColumnIsThere) {
  view_.processes[0].name = "fetchServiceFromFarAway";
  history_.processes["fetchServiceFromFarAway"] = history_.processes["fetch"];
  EXPECT_THAT(shown(79),
              HasSubstr("fetchService…    1  ✔ SUCCESS            0  03:04:12  03:04:13  0.40s   12.0 MB\n"));
}

TEST_F(LiveTableTest, ColourNeverChangesTheWords) {
  std::string coloured = shown(100, {.color = true, .utf8 = true});
  EXPECT_THAT(coloured, HasSubstr("\x1b[32m✔ SUCCESS\x1b[0m"));
  for (std::size_t at; (at = coloured.find('\x1b')) != std::string::npos;) {
    coloured.erase(at, coloured.find('m', at) - at + 1);
  }
  EXPECT_EQ(coloured, shown(100));
}

TEST_F(LiveTableTest, TellsWhyTheTaskIsOnItsWayToItsEnd) {
  history_.statuses.push_back(task_record(TaskState::kCleaning, kStart + 10, "killed by its owner"));
  EXPECT_THAT(shown(100), HasSubstr("◌ CLEANING  web  0:12  http=31000\n  killed by its owner\nname "));
}

TEST_F(LiveTableTest, TheTimeStandsStillAtTheEnd) {
  history_.statuses.push_back(task_record(TaskState::kFailed, kStart + 3700, "process 'serve' failed"));
  EXPECT_THAT(shown(100), HasSubstr("✘ FAILED  web  1:01:40  http=31000\nname "));
}

TEST_F(LiveTableTest, TheLastThreeEventsStandBelow) {
  for (const char* words : {"one", "two", "three", "four"}) history_.events.push_back({kStart, "disk", "", 0, words});
  const std::string text = shown(100);
  EXPECT_TRUE(text.ends_with("  03:04:05.000 disk: two\n  03:04:05.000 disk: three\n  03:04:05.000 disk: four\n"))
      << text;
  EXPECT_THAT(text, Not(HasSubstr("one")));
  EXPECT_THAT(shown(20), HasSubstr("  03:04:05.000 disk…\n"));
}

TEST(LiveAreaTest, ALaterFrameStartsWhereTheEarlierDid) {
  LiveArea area;
  EXPECT_EQ(area.frame({{"a", 1}, {"b", 1}}, 80, 24, {}), "\ra\x1b[K\r\nb\x1b[K\r\n\x1b[J");
  EXPECT_EQ(area.frame({{"c", 1}}, 80, 24, {}), "\r\x1b[2Ac\x1b[K\r\n\x1b[J");
  EXPECT_EQ(area.frame({}, 80, 24, {}), "\r\x1b[1A\x1b[J");
}

TEST(LiveAreaTest, ANarrowerTerminalHasBrokenTheOldLines) {
  LiveArea area;
  area.frame({{std::string(50, 'a'), 50}, {"", 0}}, 80, 24, {});
  EXPECT_THAT(area.frame({}, 20, 24, {}), HasSubstr("\x1b[4A")) << "3 rows of 20 columns, and an empty one";
}

TEST(LiveAreaTest, ATableThatIsTooHighIsCutAndSaysSo) {
  LiveArea area;
  const std::vector<Line> lines(10, Line{"x", 1});
  EXPECT_EQ(area.frame(lines, 80, 4, {}), "\rx\x1b[K\r\nx\x1b[K\r\n8 more lines do not fit here\x1b[K\r\n\x1b[J");
}

}  // namespace
}  // namespace dewar
