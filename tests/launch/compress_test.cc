// Rotated files and their compressed form.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <zstd.h>

#include <map>
#include <random>

#include "base/files.h"
#include "base/process.h"
#include "isolation/compress/archive.h"
#include "isolation/compress/rotated.h"
#include "isolation/launch/run_log.h"
#include "tests/support/temp_folder.h"

namespace dewar {
namespace {

constexpr auto kOut = OutputStream::kStdout;

std::uint32_t number_at(std::string_view bytes, std::size_t at) {
  std::uint32_t value = 0;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

/// What the frames hold, by libzstd alone, one after the other; checks the seek table on the way.
std::vector<std::string> frames_of(const std::string& archive) {
  std::vector<std::string> frames;
  if (archive.size() < 9 || number_at(archive, archive.size() - 4) != 0x8F92EAB1) {
    ADD_FAILURE() << "no seek table";
    return frames;
  }
  const std::uint32_t count = number_at(archive, archive.size() - 9);
  const std::size_t table = archive.size() - 9 - count * 8;
  EXPECT_EQ(number_at(archive, table - 8), 0x184D2A5Eu);
  EXPECT_EQ(number_at(archive, table - 4), count * 8 + 9);
  std::size_t at = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t packed = number_at(archive, table + i * 8), size = number_at(archive, table + i * 8 + 4);
    if (i > 0) {
      std::string content(size, '\0');
      EXPECT_EQ(ZSTD_decompress(content.data(), size, archive.data() + at, packed), size);
      frames.push_back(std::move(content));
    }
    at += packed;
  }
  EXPECT_EQ(at, table - 8) << "the frames end where the table begins";
  return frames;
}

class CompressTest : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return folder_ / name; }
  std::string read(const std::string& name) const {
    auto text = read_file(path(name));
    return text ? std::move(text).take() : "(none)";
  }
  std::string archive_of(const std::string& content) {
    EXPECT_TRUE(replace_file(path("from"), content));
    const auto from = open_file(path("from"), O_RDONLY);
    const auto to = open_file(path("to"), O_RDWR | O_CREAT | O_TRUNC);
    const auto written = write_archive(from->get(), to->get(), {kOut, 7, content.size()});
    EXPECT_TRUE(written) << written.error().message();
    return read("to");
  }
  void open_log(std::uint64_t log_size, std::uint32_t backups) {
    LogRecipe recipe;
    recipe.policy = {LogDestination::kFile, LogMode::kRotate, log_size, backups};
    recipe.folder = folder_.path();
    std::string subject;
    auto log = RunLog::open(recipe, LogFile::Begin::kNew, subject);
    ASSERT_TRUE(log) << log.error().message();
    log_ = std::move(log).take();
  }
  void write(std::string_view bytes) { log_->file(kOut).write(bytes, ++time_ * 10'000'000); }
  int compress() {
    LogQuota none, neither;
    const auto count = compress_rotated(folder_.path(), none, neither);
    EXPECT_TRUE(count) << count.error().message();
    return count ? *count : -1;
  }
  /// All of stdout that is left, oldest first, from plain and compressed files; those with both count once.
  std::string whole() const {
    std::map<std::uint64_t, std::string> parts;
    for (const std::string& name : *list_dir(folder_.path())) {
      if (!name.starts_with("stdout")) continue;
      const std::string bytes = read(name);
      if (name.ends_with(".zst")) {
        const auto head = decode_archive_head(bytes);
        EXPECT_TRUE(head) << name;
        std::string content;
        for (const std::string& frame : frames_of(bytes)) content += frame;
        if (!head) continue;
        EXPECT_EQ(content.size(), head->size);
        parts[head->position] = content;
      } else {
        parts[start_of(name)] = bytes;
      }
    }
    std::string all;
    for (const auto& [position, content] : parts) {
      EXPECT_EQ(position, parts.begin()->first + all.size());
      all += content;
    }
    return all;
  }
  std::uint64_t start_of(const std::string& name) const {
    struct stat info {};
    ::stat(path(name).c_str(), &info);
    std::uint64_t start = 0;
    const std::string index = read("index");
    for (std::size_t at = 0; at + kIndexRecordSize <= index.size(); at += kIndexRecordSize) {
      const auto record = decode_index_record(std::string_view(index).substr(at));
      if (record && record->kind == IndexKind::kFile && record->value == info.st_ino) start = record->position;
    }
    return start;
  }

  TempFolder folder_;
  std::unique_ptr<RunLog> log_;
  std::int64_t time_ = 0;
};

TEST_F(CompressTest, FramesEndWithLinesAndCanBeReadAlone) {
  std::string text;
  for (int i = 0; text.size() < 1'000'000; ++i) text += "this is line number " + std::to_string(i) + "\n";
  const std::string archive = archive_of(text);
  EXPECT_LT(archive.size(), text.size() / 4);
  EXPECT_EQ(decode_archive_head(archive), (ArchiveHead{kOut, 7, text.size()}));
  const auto frames = frames_of(archive);
  EXPECT_EQ(frames.size(), 4u);
  std::string all;
  for (const std::string& frame : frames) {
    EXPECT_LE(frame.size(), 256u << 10);
    EXPECT_EQ(frame.back(), '\n');
    all += frame;
  }
  EXPECT_EQ(all, text);
}

TEST_F(CompressTest, WithoutLinesFramesAreCut) {
  const std::string text = std::string(600'000, '\0') + "\xff\xfe\r";
  const auto frames = frames_of(archive_of(text));
  ASSERT_EQ(frames.size(), 3u);
  EXPECT_EQ(frames[0].size(), 256u << 10);
  EXPECT_EQ(frames[0] + frames[1] + frames[2], text);
}

TEST_F(CompressTest, AnEmptyFileHasNoFrames) { EXPECT_TRUE(frames_of(archive_of("")).empty()); }

TEST_F(CompressTest, WhatAnyZstdUnpacksIsTheContent) {
  const std::string text = "one\ntwo\n", archive = archive_of(text);
  const UniqueFd out(::open(path("out").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  std::string content(text.size() + 10, '\0');
  EXPECT_EQ(ZSTD_decompress(content.data(), content.size(), archive.data(), archive.size()), text.size());
  EXPECT_EQ(content.substr(0, text.size()), text);
}

TEST_F(CompressTest, TakesThePlaceOfTheFile) {
  open_log(10, 3);
  write("123456789\n123456789\nrest");
  struct stat info {};
  EXPECT_EQ(compress(), 2);
  EXPECT_EQ(*list_dir(folder_.path()),
            (std::vector<std::string>{"index", "stderr", "stdout", "stdout.1.zst", "stdout.2.zst"}));
  ASSERT_EQ(::stat(path("stdout.1.zst").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0644u);
  EXPECT_EQ(decode_archive_head(read("stdout.1.zst")), (ArchiveHead{kOut, 10, 10}));
  EXPECT_EQ(whole(), "123456789\n123456789\nrest");
  EXPECT_EQ(compress(), 0);
}

TEST_F(CompressTest, CompressedFilesAreRotatedOn) {
  open_log(10, 2);
  write("1.......1\n2.......2\n");
  EXPECT_EQ(compress(), 2);
  write("3.......3\n");
  EXPECT_EQ(whole(), "2.......2\n3.......3\n");
  EXPECT_TRUE(exists(path("stdout.2.zst")));
  EXPECT_TRUE(exists(path("stdout.1")));
}

TEST_F(CompressTest, TheQuotaGetsBackWhatItSaves) {
  open_log(100'000, 2);
  write(std::string(100'000, 'x'));
  auto quota = LogQuota::open(path("used"), 1'000'000);
  ASSERT_TRUE(quota);
  quota->charge(100'000);
  LogQuota none;
  ASSERT_EQ(*compress_rotated(folder_.path(), *quota, none), 1);
  struct stat info {};
  ASSERT_EQ(::stat(path("stdout.1.zst").c_str(), &info), 0);
  EXPECT_EQ(read_log_use(path("used"))->used, static_cast<std::uint64_t>(info.st_size));
}

// Killed at any point, the program leaves every byte readable, and the next one goes on.
TEST_F(CompressTest, KilledAtRandomItLosesNothing) {
  std::mt19937 random(7);
  open_log(300'000, 100);
  std::string text;
  for (int round = 0; round < 60; ++round) {
    std::string lines;
    for (int i = 0; lines.size() < 350'000; ++i) lines += std::to_string(random() % 100'000) + "\n";
    write(lines);
    text += lines;
    const auto pid = spawn({.program = DEWAR_BIN "/dewar-compress",
                            .argv = {"dewar-compress", folder_.path()},
                            .env = {},
                            .fds = {},
                            .new_session = false});
    ASSERT_TRUE(pid);
    const timespec pause{0, static_cast<long>(random() % 12'000'000)};
    ::nanosleep(&pause, nullptr);
    write("in between\n");  // the pump does not wait for it
    text += "in between\n";
    ::kill(*pid, SIGKILL);
    ::waitpid(*pid, nullptr, 0);
    ASSERT_EQ(whole(), text) << round;
  }
  compress();
  EXPECT_EQ(whole(), text);
  for (const std::string& name : *list_dir(folder_.path()))
    EXPECT_TRUE(name == "stdout" || !name.starts_with("stdout.") || name.ends_with(".zst")) << name;
  EXPECT_FALSE(exists(path(".compress.new")));
}

}  // namespace
}  // namespace dewar
