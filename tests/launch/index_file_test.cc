// What a pump writes beside the log files, read back record by record.
#include "isolation/launch/index_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <map>

#include "base/files.h"
#include "isolation/launch/run_log.h"
#include "tests/support/temp_folder.h"

namespace dewar {
namespace {

constexpr auto kOut = OutputStream::kStdout, kErr = OutputStream::kStderr;
constexpr std::int64_t kMs = 1'000'000;

class IndexFileTest : public testing::Test {
 protected:
  void open(const LogPolicy& policy = {}, LogFile::Begin begin = LogFile::Begin::kNew) {
    LogRecipe recipe;
    recipe.policy = policy;
    recipe.folder = path();
    std::string subject;
    log_.reset();
    auto log = RunLog::open(recipe, begin, subject);
    ASSERT_TRUE(log) << log.error().message();
    log_ = std::move(log).take();
  }
  /// Ends without a word, as a pump does that is killed: what it had not written yet is lost.
  void die() { log_.reset(); }

  std::string path() const { return folder_.path(); }
  void write(OutputStream stream, std::string_view bytes, std::int64_t time) { log_->file(stream).write(bytes, time); }
  std::string read(const std::string& name) const {
    auto text = read_file(path() + "/" + name);
    return text ? std::move(text).take() : "(none)";
  }
  std::uint64_t inode(const std::string& name) const {
    struct stat info {};
    EXPECT_EQ(::stat((path() + "/" + name).c_str(), &info), 0) << name;
    return info.st_ino;
  }
  /// The records of a segment, a line each: "data stdout 0+5 @1".
  std::string segment(const std::string& name = "index") const {
    constexpr const char* kKinds[] = {"?", "head", "file", "data", "gap", "end"};
    const std::string bytes = read(name);
    std::map<std::uint64_t, std::uint64_t> latest;  // inodes are used again; the latest record counts
    for (std::size_t at = 0; at + kIndexRecordSize <= bytes.size(); at += kIndexRecordSize) {
      const auto record = decode_index_record(std::string_view(bytes).substr(at));
      if (record && record->kind == IndexKind::kFile) latest[record->value] = record->position;
    }
    std::string lines;
    for (std::size_t at = 0; at + kIndexRecordSize <= bytes.size(); at += kIndexRecordSize) {
      const auto record = decode_index_record(std::string_view(bytes).substr(at));
      if (!record) {
        lines += "damaged\n";
        continue;
      }
      lines += std::string(kKinds[static_cast<int>(record->kind)]) + " ";
      if (record->kind == IndexKind::kHead) {
        lines += std::to_string(record->position) + "\n";
        continue;
      }
      lines += std::string(file_name(record->stream)) + " " + std::to_string(record->position);
      if (record->kind == IndexKind::kFile) {
        const bool here = record->value == inode_of(record->stream) && latest[record->value] == record->position;
        lines += here ? " here" : " gone";
      }
      if (record->kind == IndexKind::kData || record->kind == IndexKind::kGap)
        lines += "+" + std::to_string(record->value) + " @" + std::to_string(record->time / kMs);
      if (record->reason != GapReason::kNone) lines += " " + std::string(to_words(record->reason));
      lines += "\n";
    }
    return lines;
  }
  std::uint64_t inode_of(OutputStream stream) const { return inode(std::string(file_name(stream))); }

  TempFolder folder_;
  std::unique_ptr<RunLog> log_;
};

constexpr char kBegun[] = "head 0\nfile stdout 0 here\nfile stderr 0 here\n";

TEST_F(IndexFileTest, TellsTheOrderOfBothStreams) {
  open();
  write(kOut, "one\n", 10 * kMs);
  write(kErr, "two\n", 10 * kMs);
  write(kOut, "three\n", 10 * kMs);
  log_->index().flush();
  EXPECT_EQ(segment(), std::string(kBegun) + "data stdout 0+4 @10\ndata stderr 0+4 @10\ndata stdout 4+6 @10\n");
}

TEST_F(IndexFileTest, ReadsWithinAMillisecondAreOneRecord) {
  open();
  write(kOut, "a\n", 10 * kMs);
  write(kOut, "b\n", 11 * kMs - 1);
  write(kOut, "c\n", 11 * kMs);
  log_->index().flush();
  EXPECT_EQ(segment(), std::string(kBegun) + "data stdout 0+4 @10\ndata stdout 4+2 @11\n");
}

TEST_F(IndexFileTest, BytesAreThereBeforeTheirRecordIs) {
  open();
  write(kOut, "a\n", 10 * kMs);
  EXPECT_EQ(read("stdout"), "a\n");
  EXPECT_EQ(segment(), kBegun);
  EXPECT_TRUE(log_->index().pending());
}

TEST_F(IndexFileTest, TimesNeverGoBack) {
  open();
  write(kOut, "a\n", 10 * kMs);
  write(kErr, "b\n", 5 * kMs);
  log_->index().flush();
  EXPECT_EQ(segment(), std::string(kBegun) + "data stdout 0+2 @10\ndata stderr 0+2 @10\n");
}

TEST_F(IndexFileTest, PositionsGoOnOverRotatedFiles) {
  LogPolicy policy{LogDestination::kFile, LogMode::kRotate, 4, 2};
  open(policy);
  write(kOut, "abc\ndef\nghi\n", 10 * kMs);
  log_->index().flush();
  EXPECT_EQ(read("stdout.1"), "ghi\n");
  EXPECT_EQ(segment(),
            "head 0\nfile stdout 0 gone\nfile stderr 0 here\ndata stdout 0+4 @10\nfile stdout 4 gone\n"
            "data stdout 4+4 @10\nfile stdout 8 gone\ndata stdout 8+4 @10\nfile stdout 12 here\n");
}

TEST_F(IndexFileTest, ANewSegmentTellsOfEveryFileThatIsStillThere) {
  open({LogDestination::kFile, LogMode::kRotate, 8000, 2});
  // A record each: 33000 of them are more than a segment.
  for (int i = 0; i < 33'000; ++i) write(i % 2 == 0 ? kOut : kErr, "x\n", i * kMs);
  log_->index().flush();
  EXPECT_EQ(read("index.1").size(), kIndexSegmentSize);
  const std::string newest = segment();
  EXPECT_EQ(newest.substr(0, newest.find('\n')), "head 1");
  for (const char* name : {"stdout", "stdout.1", "stdout.2", "stderr", "stderr.1", "stderr.2"}) {
    const std::string bytes = read("index").substr(0, 7 * kIndexRecordSize);
    bool found = false;
    for (std::size_t at = kIndexRecordSize; at < bytes.size(); at += kIndexRecordSize)
      found = found || decode_index_record(std::string_view(bytes).substr(at))->value == inode(name);
    EXPECT_TRUE(found) << name;
  }
}

TEST_F(IndexFileTest, ASegmentGoesWithTheFilesItSpeaksOf) {
  open({LogDestination::kFile, LogMode::kRotate, 8000, 1});
  for (int i = 0; i < 200'000; ++i) write(i % 2 == 0 ? kOut : kErr, "x\n", i * kMs);
  EXPECT_TRUE(exists(path() + "/index.1"));
  EXPECT_FALSE(exists(path() + "/index.3")) << "16000 bytes of each stream are 16000 records, half of a segment";
}

TEST_F(IndexFileTest, AGapIsToldAtOnceAndHowMuchItHasGrownOnceItEnds) {
  open();
  write(kOut, "a\n", 10 * kMs);
  log_->file(kOut).miss(5, GapReason::kRate, 11 * kMs);
  const std::string begun = std::string(kBegun) + "data stdout 0+2 @10\ngap stdout 2+5 @11 rate limit\n";
  EXPECT_EQ(segment(), begun);
  log_->file(kOut).miss(3, GapReason::kRate, 12 * kMs);
  log_->file(kOut).miss(4, GapReason::kRate, 12 * kMs);
  EXPECT_EQ(segment(), begun);
  write(kOut, "b\n", 13 * kMs);
  EXPECT_EQ(segment(), begun + "gap stdout 2+7 @11 rate limit\n");
  log_->index().flush();
  EXPECT_EQ(segment(), begun + "gap stdout 2+7 @11 rate limit\ndata stdout 2+2 @13\n");
}

TEST_F(IndexFileTest, AGapThatGrowsLongIsToldAgain) {
  open();
  for (int i = 0; i < 3; ++i) log_->file(kOut).miss(IndexFile::kUntold / 2, GapReason::kQuota, 11 * kMs);
  EXPECT_EQ(segment(), std::string(kBegun) +
                           "gap stdout 0+2097152 @11 quota for output full\n"
                           "gap stdout 0+4194304 @11 quota for output full\n");
  die();
  open({}, LogFile::Begin::kGoOn);
  EXPECT_TRUE(log_->index().ends_with_gap(kOut));
  EXPECT_FALSE(log_->index().ends_with_gap(kErr));
}

TEST_F(IndexFileTest, WhoGoesOnTellsOfBytesWithoutARecord) {
  open();
  write(kOut, "a\n", 10 * kMs);
  log_->index().flush();
  write(kOut, "bc\n", 20 * kMs);
  die();
  open({}, LogFile::Begin::kGoOn);
  write(kOut, "d\n", wall_time());
  log_->index().flush();
  const std::string text = segment();
  const std::string files = "file stdout 0 here\nfile stderr 0 here\n";  // told again, should some be missing
  EXPECT_EQ(text.find(std::string(kBegun) + "data stdout 0+2 @10\n" + files + "file stdout 0 here\ndata stdout 2+3 @"),
            0u)
      << text;
  EXPECT_NE(text.find("\ndata stdout 5+2 @"), std::string::npos) << text;
  EXPECT_EQ(read("stdout"), "a\nbc\nd\n");
}

TEST_F(IndexFileTest, ATornRecordIsCutOff) {
  open();
  write(kOut, "a\n", 10 * kMs);
  log_->index().flush();
  die();
  ASSERT_TRUE(replace_file(path() + "/index", read("index") + "torn"));
  open({}, LogFile::Begin::kGoOn);
  EXPECT_EQ(read("index").size() % kIndexRecordSize, 0u);
  EXPECT_EQ(log_->file(kOut).position(), 2u);
}

TEST_F(IndexFileTest, WithoutAnIndexPositionsBeginWithTheFile) {
  open();
  write(kOut, "abc\n", 10 * kMs);
  die();
  ASSERT_EQ(::unlink((path() + "/index").c_str()), 0);
  open({}, LogFile::Begin::kGoOn);
  EXPECT_EQ(log_->file(kOut).position(), 4u);
  EXPECT_EQ(segment().substr(0, 42), "head 0\nfile stdout 0 here\ndata stdout 0+4 ");
}

TEST_F(IndexFileTest, WhoGoesOnKnowsTheFilesThatWereRotated) {
  const LogPolicy policy{LogDestination::kFile, LogMode::kRotate, 4, 2};
  open(policy);
  write(kOut, "abc\ndef\ng", 10 * kMs);
  die();
  open(policy, LogFile::Begin::kGoOn);
  EXPECT_EQ(log_->file(kOut).position(), 9u);
  write(kOut, "hi\n", 11 * kMs);
  EXPECT_EQ(read("stdout.2"), "def\n");
  EXPECT_EQ(read("stdout.1"), "ghi\n");
  log_->index().flush();
  EXPECT_NE(segment().find("file stdout 12 here\n"), std::string::npos);
}

// covers: F32
TEST_F(IndexFileTest, AFileThatSomebodyHasRemovedIsMadeNew) {
  open();
  write(kOut, "gone\n", 10 * kMs);
  ASSERT_EQ(::unlink((path() + "/stdout").c_str()), 0);
  log_->look_after();
  write(kOut, "new\n", 20 * kMs);
  log_->index().flush();
  EXPECT_EQ(read("stdout"), "new\n");
  EXPECT_NE(segment().find("file stdout 5 here\ndata stdout 5+4 @20\n"), std::string::npos) << segment();
  EXPECT_EQ(log_->losses(), "stdout: somebody else has removed, renamed or cut the file; it goes on anew");
}

TEST_F(IndexFileTest, WhatSomebodyHasPutInItsPlaceIsMovedAside) {
  open();
  for (const bool fifo : {true, false}) {
    ASSERT_EQ(::unlink((path() + "/stdout").c_str()), 0);
    const std::string place = path() + "/stdout";
    ASSERT_EQ(fifo ? ::mkfifo(place.c_str(), 0600) : ::symlink("/etc/passwd", place.c_str()), 0);
    log_->look_after();
    write(kOut, "new\n", 20 * kMs);
    EXPECT_EQ(read("stdout"), "new\n");
    struct stat info {};
    ASSERT_EQ(::lstat((path() + "/stdout").c_str(), &info), 0);
    EXPECT_TRUE(S_ISREG(info.st_mode));
  }
}

TEST_F(IndexFileTest, AFileThatSomebodyHasCutBeginsAtItsNewPlace) {
  open();
  write(kOut, "gone\n", 10 * kMs);
  ASSERT_EQ(::truncate((path() + "/stdout").c_str(), 0), 0);
  write(kOut, "b\n", 11 * kMs);
  log_->look_after();
  EXPECT_EQ(read("stdout"), "b\n");
  EXPECT_NE(segment().find("file stdout 5 here\n"), std::string::npos) << segment();
}

TEST_F(IndexFileTest, AnIndexThatSomebodyHasRemovedIsMadeNew) {
  open();
  ASSERT_EQ(::unlink((path() + "/index").c_str()), 0);
  log_->look_after();
  EXPECT_EQ(segment(), "head 1\nfile stdout 0 here\nfile stderr 0 here\n");
}

}  // namespace
}  // namespace dewar
