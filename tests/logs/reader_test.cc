#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/logs/fake_pump.h"
#include "tests/support/temp_folder.h"
#include "thermos/logs/line_cutter.h"
#include "thermos/logs/log_reader.h"

namespace dewar {
namespace {

using ::testing::ElementsAre;
using enum OutputStream;

class LogReaderTest : public testing::Test {
 protected:
  FakePump pump(const std::string& process, int run = 0) const {
    return FakePump(run_ / ".logs/" + process + "/" + std::to_string(run));
  }

  /// "web#0 line", "web#0 -- 5 removed", in the order in which they come.
  std::vector<std::string> read(LogQuery query = {}) const {
    auto reader = LogReader::open(run_.path(), "t", std::move(query));
    EXPECT_TRUE(reader) << reader.error().message();
    std::vector<std::string> all;
    while (const LogItem* item = (*reader)->next()) {
      std::string text = std::string(item->process) + "#" + std::to_string(item->run) + " ";
      if (item->apart) text.insert(0, "... ");
      text += item->kind == LogItem::Kind::kGap
                  ? "-- " + std::to_string(item->missing) + " " + std::string(name_of(item->cause))
                  : std::string(item->text);
      all.push_back(text);
    }
    return all;
  }

  TempFolder run_;
};

TEST_F(LogReaderTest, ProcessesAreMergedByTimeAndTheirOrder) {
  FakePump b = pump("b"), a = pump("a");
  a.write(kStdout, "one\n", 100), b.write(kStdout, "two\n", 200), b.write(kStderr, "three\n", 300);
  a.write(kStderr, "four\n", 300), b.write(kStdout, "five\n", 400);
  LogQuery query;
  query.order = {"b", "a"};
  EXPECT_THAT(read(query), ElementsAre("a#0 one", "b#0 two", "b#0 three", "a#0 four", "b#0 five"));
  query.merge = false;
  EXPECT_THAT(read(query), ElementsAre("b#0 two", "b#0 three", "b#0 five", "a#0 one", "a#0 four"));
  query.process = "a", query.err = false;
  EXPECT_THAT(read(query), ElementsAre("a#0 one"));
}

TEST_F(LogReaderTest, TheLatestRunUnlessAllAreAskedFor) {
  FakePump first = pump("p", 0), second = pump("p", 1);
  first.write(kStdout, "old\n", 100), second.write(kStdout, "new\n", 200);
  LogQuery query;
  EXPECT_THAT(read(query), ElementsAre("p#1 new"));
  query.all_runs = true;
  EXPECT_THAT(read(query), ElementsAre("p#0 old", "p#1 new"));
  query.all_runs = false, query.process = "p", query.run = 0;
  EXPECT_THAT(read(query), ElementsAre("p#0 old"));
}

TEST_F(LogReaderTest, BetweenTwoTimes) {
  FakePump p = pump("p");
  for (int i = 1; i <= 5; ++i) p.write(kStdout, std::to_string(i) + "\n", i * 100);
  LogQuery query;
  query.since = 200, query.until = 400;
  EXPECT_THAT(read(query), ElementsAre("p#0 2", "p#0 3", "p#0 4"));
}

TEST_F(LogReaderTest, ContextAroundHits) {
  FakePump p = pump("p");
  for (const char* line : {"a", "b", "hit", "c", "d", "e", "f", "hit", "hit", "g"})
    p.write(kStdout, line + std::string("\n"), 100);
  LogQuery query;
  query.filter = LineFilter::containing("HIT", true);
  query.context = 1;
  EXPECT_THAT(read(query), ElementsAre("p#0 b", "p#0 hit", "p#0 c", "... p#0 f", "p#0 hit", "p#0 hit", "p#0 g"));
}

TEST_F(LogReaderTest, ACursorStaysValidAcrossRotationAndTellsWhatIsGone) {
  FakePump p = pump("p");
  p.write(kStdout, "one\ntwo\n", 100);
  p.rotate(kStdout, 2), p.compress(kStdout);
  p.write(kStdout, "three\n", 200);
  LogQuery query;
  query.cursors = {{"p", 0, kStdout, 4}};
  EXPECT_THAT(read(query), ElementsAre("p#0 two", "p#0 three"));
  for (int i = 0; i < 2; ++i) p.rotate(kStdout, 2), p.write(kStdout, "later\n", 300);
  EXPECT_THAT(read(query), ElementsAre("p#0 -- 4 removed", "p#0 three", "p#0 later", "p#0 later"));
}

TEST_F(LogReaderTest, EveryProcessGoesOnBehindItsCursor) {
  FakePump a = pump("a"), b = pump("b"), c = pump("c");
  a.write(kStdout, "a1\n", 100), b.write(kStdout, "b1\n", 150), c.write(kStdout, "c1\n", 160);
  auto reader = *LogReader::open(run_.path(), "t", {});
  ASSERT_NE(reader->next(), nullptr);
  ASSERT_NE(reader->next(), nullptr);
  EXPECT_EQ(reader->cursor(), "a#0:stdout:3,b#0:stdout:3");
  a.write(kStdout, "a2\n", 200);
  LogQuery query;
  query.cursors = *parse_cursors(reader->cursor());
  EXPECT_THAT(read(query), ElementsAre("c#0 c1", "a#0 a2"));
}

TEST_F(LogReaderTest, WhatWasDroppedIsToldWhereItIsMissing) {
  FakePump p = pump("p");
  p.write(kStdout, "one\nhal", 100), p.gap(kStdout, 77, GapReason::kRate, 200), p.write(kStdout, "f\n", 300);
  EXPECT_THAT(read(), ElementsAre("p#0 one", "p#0 hal", "p#0 -- 77 rate", "p#0 f"));
}

TEST_F(LogReaderTest, ADamagedArchiveIsToldAndTheRestIsRead) {
  FakePump p = pump("p");
  p.write(kStdout, "one\n", 100), p.rotate(kStdout, 9);
  p.write(kStdout, "two\n", 200), p.rotate(kStdout, 9), p.write(kStdout, "three\n", 300), p.compress(kStdout);
  ASSERT_TRUE(replace_file(p.folder() + "/stdout.1.zst", "nonsense"));
  EXPECT_THAT(read(), ElementsAre("p#0 one", "p#0 -- 4 unreadable", "p#0 three"));
}

TEST_F(LogReaderTest, AllThatIsGoneIsToldAtOnce) {
  FakePump p = pump("p");
  for (int i = 0; i < 10; ++i) p.write(i % 2 == 0 ? kStdout : kStderr, "four", 100 + i);
  ASSERT_TRUE(remove_tree(p.folder() + "/stdout"));
  ASSERT_TRUE(remove_tree(p.folder() + "/stderr"));
  EXPECT_THAT(read(), ElementsAre("p#0 -- 20 removed", "p#0 -- 20 removed"));
}

TEST_F(LogReaderTest, AFileThatIsBegunAnewUnderItsInodeIsNotTakenForTheOldOne) {
  FakePump p = pump("p");
  p.write(kStdout, "one\n", 100);
  auto reader = *LogReader::open(run_.path(), "t", {});
  ASSERT_NE(reader->next(), nullptr);
  p.begin_anew(kStdout), p.write(kStdout, "second\n", 200);
  EXPECT_THAT(read(), ElementsAre("p#0 -- 4 removed", "p#0 second"));
}

TEST_F(LogReaderTest, WhatIsNoRegularFileIsNoLog) {
  const std::string folder = run_ / ".logs/p/0";
  ASSERT_TRUE(make_dirs(folder));
  ASSERT_TRUE(replace_file(run_ / "secret", "secret\n"));
  ASSERT_EQ(::symlink((run_ / "secret").c_str(), (folder + "/stdout").c_str()), 0);
  ASSERT_EQ(::mkfifo((folder + "/stderr").c_str(), 0600), 0);
  ASSERT_EQ(::mkfifo((folder + "/index").c_str(), 0600), 0);
  EXPECT_THAT(read(), ElementsAre());
}

TEST_F(LogReaderTest, ATaskWithoutLogsIsEmptyAndAFolderThatIsNotThereIsAnError) {
  EXPECT_THAT(read(), ElementsAre());
  EXPECT_EQ(LogReader::open(run_ / "none", "t", {}).error().code, std::errc::no_such_file_or_directory);
}

TEST_F(LogReaderTest, ALineOfAGigabyteIsReadInPiecesAndInLittleMemory) {
  constexpr std::uint64_t kSize = 1ull << 30;
  ASSERT_TRUE(make_dirs(run_ / ".logs/p/0"));
  const auto file = open_file(run_ / ".logs/p/0/stdout", O_WRONLY | O_CREAT);
  ASSERT_TRUE(file);
  ASSERT_EQ(::ftruncate(file->get(), kSize), 0);  // a hole: NULs, and no newline
  rusage before{}, after{};
  ::getrusage(RUSAGE_SELF, &before);
  auto reader = *LogReader::open(run_.path(), "t", {});
  std::uint64_t read = 0;
  while (const LogItem* item = reader->next()) {
    ASSERT_EQ(item->position, read);
    ASSERT_LE(item->text.size(), 2 * LineCutter::kPiece);
    ASSERT_EQ(item->continued, read > 0);
    ASSERT_TRUE(item->unfinished);
    read = item->end;
  }
  ::getrusage(RUSAGE_SELF, &after);
  EXPECT_EQ(read, kSize);
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 16 * 1024) << "KiB";
}

}  // namespace
}  // namespace dewar
