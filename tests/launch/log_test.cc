#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstdlib>

#include "base/files.h"
#include "base/process.h"
#include "isolation/launch/log_pump.h"

namespace dewar {
namespace {

class LogTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/var/tmp/dewar-log-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    path_ = name;
    folder_ = std::move(open_file(path_, O_RDONLY | O_DIRECTORY)).take();
    user_.uid = ::geteuid();
    user_.gid = ::getegid();
  }
  void TearDown() override { EXPECT_TRUE(remove_tree(path_)); }

  static LogPolicy rotate(std::uint64_t size, std::uint32_t backups) {
    return {LogDestination::kFile, LogMode::kRotate, size, backups};
  }
  Result<LogFile> open(const LogPolicy& policy = {}) { return LogFile::open(folder_, "stdout", policy, user_); }
  std::string read(const std::string& name) const {
    auto text = read_file(path_ + "/" + name);
    return text ? std::move(text).take() : "(none)";
  }
  std::vector<std::string> names() const { return *list_dir(path_); }
  void put(const std::string& name, const std::string& text) { ASSERT_TRUE(replace_file(path_ + "/" + name, text)); }

  std::string path_;
  UniqueFd folder_;
  User user_;
};

using Names = std::vector<std::string>;

TEST_F(LogTest, StandardModeAppendsToWhatIsThere) {
  put("stdout", "old\n");
  auto log = open();
  ASSERT_TRUE(log);
  log->write("new\n");
  EXPECT_EQ(read("stdout"), "old\nnew\n");
}

TEST_F(LogTest, StandardModeGoesOnAtTheEndAfterSomebodyEmptiedTheFile) {
  auto log = open();
  log->write("first\n");
  ASSERT_EQ(::truncate((path_ + "/stdout").c_str(), 0), 0);
  log->write("second\n");
  EXPECT_EQ(read("stdout"), "second\n");
}

TEST_F(LogTest, RotateModeStartsAnew) {
  put("stdout", "old\n");
  auto log = open(rotate(100, 2));
  log->write("new\n");
  EXPECT_EQ(read("stdout"), "new\n");
}

TEST_F(LogTest, AFileThatReachesItsLimitExactlyIsRotatedAtOnce) {
  auto log = open(rotate(10, 2));
  log->write("123456789\n");
  EXPECT_EQ(read("stdout"), "");
  EXPECT_EQ(read("stdout.1"), "123456789\n");
}

TEST_F(LogTest, AFileBelowItsLimitIsNotRotated) {
  auto log = open(rotate(10, 2));
  log->write("12345678\n");
  EXPECT_EQ(names(), Names{"stdout"});
}

TEST_F(LogTest, RotationKeepsTheNewestBackupsInOrder) {
  auto log = open(rotate(2, 2));
  for (const char* line : {"a\n", "b\n", "c\n", "d\n"}) log->write(line);
  EXPECT_EQ(names(), (Names{"stdout", "stdout.1", "stdout.2"}));
  EXPECT_EQ(read("stdout.1"), "d\n");
  EXPECT_EQ(read("stdout.2"), "c\n");
}

TEST_F(LogTest, OneBigWriteIsSpreadOverFilesThatEndWithWholeLines) {
  std::string lines, all;
  for (int i = 100; i < 200; ++i) lines += "line" + std::to_string(i) + "\n";
  auto log = open(rotate(20, 50));
  log->write(lines);
  for (int n = 34; n > 0; --n) {
    const std::string part = read("stdout." + std::to_string(n));
    if (part == "(none)") continue;
    EXPECT_EQ(part.size(), 24u);
    EXPECT_EQ(part.back(), '\n');
    all += part;
  }
  EXPECT_EQ(all + read("stdout"), lines);
}

TEST_F(LogTest, ALineTooLongToWaitForIsCutAtTheLimit) {
  auto log = open(rotate(100, 3));
  log->write(std::string(100'000, 'x'));
  EXPECT_EQ(read("stdout.1").size(), 100u);
  EXPECT_EQ(read("stdout").size(), 0u);
}

TEST_F(LogTest, WithoutBackupsTheFileStartsFromItsBeginning) {
  auto log = open(rotate(4, 0));
  log->write("abc\n");
  log->write("d\n");
  EXPECT_EQ(names(), Names{"stdout"});
  EXPECT_EQ(read("stdout"), "d\n");
}

TEST_F(LogTest, AFileThatCannotBeMovedAwayGoesOnGrowing) {
  ASSERT_TRUE(make_dirs(path_ + "/stdout.1"));  // a folder there makes rename(2) fail
  auto log = open(rotate(4, 1));
  log->write("abc\n");
  log->write("def\n");
  EXPECT_EQ(read("stdout"), "abc\ndef\n");
  EXPECT_EQ(log->lost(), 0u);
  EXPECT_EQ(log->error(), EISDIR);
}

TEST_F(LogTest, FollowsNoSymlink) {
  ASSERT_EQ(::symlink("elsewhere", (path_ + "/stdout").c_str()), 0);
  const auto log = open();
  ASSERT_FALSE(log);
  EXPECT_EQ(log.error().code.value(), ELOOP);
  EXPECT_EQ(names(), Names{"stdout"});
}

TEST_F(LogTest, DoesNotWaitForAFifo) {
  ASSERT_EQ(::mkfifo((path_ + "/stdout").c_str(), 0644), 0);
  EXPECT_FALSE(open());
}

TEST_F(LogTest, TheFileIsReadableToAllWhateverTheUmask) {
  const mode_t before = ::umask(0077);
  EXPECT_TRUE(open());
  ::umask(before);
  struct stat info {};
  ::stat((path_ + "/stdout").c_str(), &info);
  EXPECT_EQ(info.st_mode & 0777, 0644u);
}

/// A shell command whose stdout goes through a pump, until all is written.
class PumpTest : public LogTest {
 protected:
  std::string pump(const std::string& command, const LogPolicy& policy, int console = -1) {
    LogStream stream;
    UniqueFd writer;
    stream.name = "stdout";
    stream.console = console;
    EXPECT_TRUE(make_log_pipe(stream.pipe, writer));
    stream.file = std::move(open(policy)).take();
    const auto pid = spawn({.program = "/bin/sh",
                            .argv = {"sh", "-c", command},
                            .env = {"PATH=/usr/bin:/bin"},
                            .fds = {-1, writer.get()}});
    EXPECT_TRUE(pid);
    writer.reset();
    const UniqueFd child = std::move(open_child(*pid)).take();
    std::vector<LogStream> streams;
    streams.push_back(std::move(stream));
    LogPump moving(std::move(streams));
    moving.run_until_ended(child.get());
    ::waitpid(*pid, nullptr, 0);
    moving.drain();
    return moving.losses();
  }
};

TEST_F(PumpTest, MovesEveryByteOfManyShortWrites) {
  EXPECT_EQ(pump("i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); done", {}), "");
  std::string expected;
  for (int i = 0; i < 20000; ++i) expected += std::to_string(i) + "\n";
  EXPECT_EQ(read("stdout"), expected);
}

TEST_F(PumpTest, MovesWhatIsStillInThePipeWhenTheWriterHasEnded) {
  EXPECT_EQ(pump("head -c 300000 /dev/zero", {}), "");
  EXPECT_EQ(read("stdout").size(), 300'000u);
}

TEST_F(PumpTest, WritesToTheConsoleAsWell) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  EXPECT_EQ(pump("echo hello", {}, writer.get()), "");
  writer.reset();
  EXPECT_EQ(*read_all(reader.get(), "console"), "hello\n");
  EXPECT_EQ(read("stdout"), "hello\n");
}

TEST_F(PumpTest, AStuckConsoleLosesBytesButTheFileDoesNot) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd reader(ends[0]), writer(ends[1]);
  EXPECT_EQ(
      pump("head -c 1000000 /dev/zero", {}, writer.get()),
      "stdout: " + std::to_string(1'000'000 - ::fcntl(ends[0], F_GETPIPE_SZ)) + " bytes did not reach the console");
  EXPECT_EQ(read("stdout").size(), 1'000'000u);
}

TEST_F(PumpTest, GivesUpAPipeThatSomebodyElseHoldsOpen) {
  // The background process outlives the shell; nobody sweeps here.
  const std::string losses = pump("echo kept; sleep 5 & echo $! > " + path_ + "/pid", {});
  EXPECT_EQ(losses, "stdout is held open by a process outside of the attempt");
  EXPECT_EQ(read("stdout"), "kept\n");
  ::kill(std::atoi(read("pid").c_str()), SIGKILL);
}

// Thermos's scenario 64, smaller: seven times the limit leaves the five newest backups and the current file.
TEST_F(PumpTest, SevenLimitsOfOutputLeaveFiveBackupsAndTheCurrentFile) {
  EXPECT_EQ(pump("yes 0123456789abcde | head -c 7340032", rotate(1 << 20, 5)), "");
  EXPECT_EQ(names(), (Names{"stdout", "stdout.1", "stdout.2", "stdout.3", "stdout.4", "stdout.5"}));
  for (int n = 1; n <= 5; ++n) EXPECT_EQ(read("stdout." + std::to_string(n)).size(), 1u << 20);
  EXPECT_EQ(read("stdout"), "");
}

}  // namespace
}  // namespace dewar
