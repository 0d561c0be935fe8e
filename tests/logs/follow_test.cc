// Following logs while somebody writes, rotates, compresses and removes them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "base/files.h"
#include "tests/logs/fake_pump.h"
#include "tests/support/temp_folder.h"
#include "thermos/checkpoint.h"
#include "thermos/logs/log_reader.h"

namespace dewar {
namespace {

using enum OutputStream;

std::uint64_t todays_seed() {
  const char* given = std::getenv("DEWAR_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::printf("seed %llu (DEWAR_SEED repeats it)\n", static_cast<unsigned long long>(seed));
  return seed;
}

class FollowTest : public testing::Test {
 protected:
  FollowTest() : folder_(run_ / ".logs/p/0") {}

  std::unique_ptr<LogReader> follow() const {
    LogQuery query;
    query.follow = true;
    auto reader = LogReader::open(run_.path(), "t", query);
    EXPECT_TRUE(reader) << reader.error().message();
    return *std::move(reader);
  }

  /// The next item, however long it takes; a copy of its text.
  static std::pair<LogItem, std::string> await(LogReader& reader) {
    for (;;) {
      if (const LogItem* item = reader.next()) return {*item, std::string(item->text)};
      if (reader.done()) return {};
      reader.wait();
    }
  }

  void end_task() {
    Checkpoint checkpoint = *Checkpoint::open(run_ / "checkpoints", "t", "{}", false);
    TaskRecord record;
    for (const auto state : {TaskState::kActive, TaskState::kCleaning, TaskState::kFinalizing, TaskState::kSuccess}) {
      record.state = state;
      ASSERT_TRUE(checkpoint.append(record));
    }
    ASSERT_TRUE(checkpoint.finish());
  }

  /// A writer that rotates at random; `backups` are kept.
  void write_much(FakePump& pump, std::mt19937_64& random, int steps, unsigned backups) {
    for (int i = 0; i < steps; ++i) {
      const OutputStream stream = random() % 3 == 0 ? kStderr : kStdout;
      pump.write(stream, "line " + std::to_string(i) + std::string(random() % 200, 'x') + "\n", i + 1);
      if (random() % 50 == 0) backups == 0 ? pump.begin_anew(stream) : pump.rotate(stream, backups);
      if (random() % 200 == 0) pump.compress(stream);
      if (random() % 300 == 0) pump.rotate_index();
    }
    end_task();
  }

  TempFolder run_;
  std::string folder_;
};

TEST_F(FollowTest, NothingIsLostOrToldTwiceWhileFilesAreRotatedAndCompressed) {
  std::mt19937_64 random(todays_seed());
  FakePump pump(folder_);
  const auto reader = follow();
  std::thread writer([&] { write_much(pump, random, 6000, 1'000'000); });
  std::string texts[2];
  while (!reader->done()) {
    const auto [item, text] = await(*reader);
    if (item.process.empty()) break;
    EXPECT_EQ(item.kind, LogItem::Kind::kLine) << item.missing << " " << name_of(item.cause) << " at " << item.position;
    std::string& all = texts[item.stream == kStderr];
    EXPECT_EQ(item.position, all.size());
    all += text + (item.unfinished ? "" : "\n");
    if (HasFailure()) break;
  }
  writer.join();
  EXPECT_TRUE(texts[0] == pump.text(kStdout)) << texts[0].size() << " of " << pump.text(kStdout).size();
  EXPECT_TRUE(texts[1] == pump.text(kStderr)) << texts[1].size() << " of " << pump.text(kStderr).size();
}

TEST_F(FollowTest, EndsOnceTheTaskHasEnded) {
  FakePump pump(folder_);
  const auto reader = follow();
  pump.write(kStdout, "one\n", 1);
  EXPECT_EQ(await(*reader).second, "one");
  EXPECT_EQ(reader->next(), nullptr);
  EXPECT_FALSE(reader->done());
  pump.write(kStdout, "last", 2);
  end_task();
  EXPECT_EQ(await(*reader).second, "last");
  EXPECT_TRUE(await(*reader).first.process.empty());
  EXPECT_TRUE(reader->done());
}

TEST_F(FollowTest, ALineWithoutEndIsShownAfterAWhileAndGoesOn) {
  FakePump pump(folder_);
  const auto reader = follow();
  pump.write(kStdout, "pass", 1);
  auto [item, text] = await(*reader);
  EXPECT_EQ(text, "pass");
  EXPECT_TRUE(item.unfinished);
  pump.write(kStdout, "word\n", 2);
  std::tie(item, text) = await(*reader);
  EXPECT_EQ(text, "word");
  EXPECT_TRUE(item.continued);
}

TEST_F(FollowTest, NewRunsAndProcessesAreFoundAndOldFilesWithoutIndexToo) {
  const auto reader = follow();
  FakePump first(folder_);
  first.write(kStdout, "first\n", 1);
  EXPECT_EQ(await(*reader).second, "first");
  FakePump second(run_ / ".logs/p/1"), other(run_ / ".logs/old/0", false);
  second.write(kStdout, "second\n", 2);
  EXPECT_EQ(await(*reader).second, "second");
  other.write(kStderr, "other\n", 3);
  EXPECT_EQ(await(*reader).second, "other");
  other.rotate(kStderr, 3);
  other.write(kStderr, "rotated\n", 3);
  EXPECT_EQ(await(*reader).second, "rotated");
}

// The file is the same one, emptied: only the index tells that its bytes are others by now.
TEST_F(FollowTest, WhileTheIndexIsRotatedTheSegmentBeforeIsBelieved) {
  for (const bool begun : {false, true}) {
    TempFolder run;
    FakePump pump(run / ".logs/p/0");
    LogQuery query;
    query.follow = true;
    const auto reader = *LogReader::open(run.path(), "t", query);
    pump.write(kStdout, "one\n", 1);
    EXPECT_EQ(await(*reader).second, "one");
    pump.rotate_index();
    pump.write(kStdout, "two\n", 2);
    pump.begin_anew(kStdout);
    pump.write(kStdout, "three\n", 3);
    const std::string index = pump.folder() + "/index";
    ASSERT_EQ(::rename((index + ".1").c_str(), (index + ".2").c_str()), 0);
    ASSERT_EQ(::rename(index.c_str(), (index + ".1").c_str()), 0);
    if (begun) {
      ASSERT_TRUE(replace_file(index, ""));
    }
    const LogItem gap = await(*reader).first;
    EXPECT_EQ(gap.kind, LogItem::Kind::kGap);
    EXPECT_EQ(gap.position, 4u);
    EXPECT_EQ(gap.missing, 4u);
    const auto [line, text] = await(*reader);
    EXPECT_EQ(text, "three");
    EXPECT_EQ(line.position, 8u);
  }
}

TEST_F(FollowTest, ASecondReaderGoesOnBehindTheCursorOfTheFirst) {
  std::mt19937_64 random(todays_seed());
  FakePump pump(folder_);
  std::thread writer([&] { write_much(pump, random, 3000, 1'000'000); });
  std::size_t texts[2] = {0, 0};
  std::string cursor;
  for (bool more = true; more && !HasFailure();) {
    LogQuery query;
    query.follow = true;
    if (!cursor.empty()) query.cursors = *parse_cursors(cursor);
    const auto reader = *LogReader::open(run_.path(), "t", query);
    for (int i = 0; i < 300 && more && !HasFailure(); ++i) {
      const auto [item, text] = await(*reader);
      more = !item.process.empty();
      if (!more) break;
      EXPECT_EQ(item.position, texts[item.stream == kStderr]);
      texts[item.stream == kStderr] = item.end;
    }
    cursor = reader->cursor();
  }
  writer.join();
  EXPECT_EQ(texts[0], pump.text(kStdout).size());
  EXPECT_EQ(texts[1], pump.text(kStderr).size());
}

class FollowWithFewBackups : public FollowTest, public testing::WithParamInterface<unsigned> {};
INSTANTIATE_TEST_SUITE_P(, FollowWithFewBackups, testing::Values(0, 1, 2));

TEST_P(FollowWithFewBackups, WhatIsRemovedBeforeItIsReadIsToldToTheByte) {
  std::mt19937_64 random(todays_seed());
  FakePump pump(folder_);
  const auto reader = follow();
  std::thread writer([&] { write_much(pump, random, 6000, GetParam()); });
  std::uint64_t at[2] = {0, 0}, lost = 0;
  std::vector<std::tuple<OutputStream, std::uint64_t, std::string>> lines;
  while (!reader->done()) {
    const auto [item, text] = await(*reader);
    if (item.process.empty()) break;
    EXPECT_EQ(item.position, at[item.stream == kStderr]);
    at[item.stream == kStderr] = item.end;
    if (item.kind == LogItem::Kind::kGap) lost += item.missing;
    if (item.kind == LogItem::Kind::kLine) lines.emplace_back(item.stream, item.position, text);
    if (HasFailure()) break;
    std::this_thread::yield();
  }
  writer.join();
  EXPECT_EQ(at[0], pump.text(kStdout).size());
  EXPECT_EQ(at[1], pump.text(kStderr).size());
  for (const auto& [stream, position, text] : lines) ASSERT_EQ(pump.text(stream).substr(position, text.size()), text);
  RecordProperty("lost", static_cast<int>(lost));
}

}  // namespace
}  // namespace dewar
