#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/inotify.h>
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
  Result<LogFile> open(const LogPolicy& policy = {}) { return open("stdout", policy, quota_); }
  Result<LogFile> open(const std::string& name, const LogPolicy& policy, LogQuota& quota) {
    return LogFile::open(folder_, name, policy, user_, quota);
  }
  std::string read(const std::string& name) const {
    auto text = read_file(path_ + "/" + name);
    return text ? std::move(text).take() : "(none)";
  }
  std::vector<std::string> names() const { return *list_dir(path_); }
  void put(const std::string& name, const std::string& text) { ASSERT_TRUE(replace_file(path_ + "/" + name, text)); }

  std::string path_;
  UniqueFd folder_;
  User user_;
  LogQuota quota_;
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

/// All output of a task under one quota.
class LogQuotaTest : public LogTest {
 protected:
  void SetUp() override {
    LogTest::SetUp();
    ASSERT_TRUE(make_dirs(path_ + "/counter"));
  }
  LogQuota limited(std::uint64_t bytes) const {
    auto quota = LogQuota::open(counter_path(), bytes);
    EXPECT_TRUE(quota) << quota.error().message();
    return std::move(quota).take();
  }
  std::string counter_path() const { return path_ + "/counter/log.used"; }
  LogUse use() const { return *read_log_use(counter_path()); }
};

// covers: limit sandbox.log_quota
TEST_F(LogQuotaTest, EndsWithTheLastByteThatHasRoomAndCountsTheRest) {
  LogQuota quota = limited(10);
  auto log = open("stdout", {}, quota);
  log->write("0123456");
  log->write("789abc");
  log->write("d");
  EXPECT_EQ(read("stdout"), "0123456789");
  EXPECT_EQ(log->lost(), 4u);
  EXPECT_EQ(log->problem(), "the task's quota of 10 B for output is full");
  EXPECT_EQ(use().used, 10u);
  EXPECT_EQ(use().dropped, 4u);
}

TEST_F(LogQuotaTest, IsOneForAllFilesAndProcesses) {
  LogQuota ours = limited(10), theirs = limited(10);
  auto out = open("stdout", {}, ours);
  auto err = open("stderr", {}, theirs);
  out->write("012345");
  err->write("012345");
  EXPECT_EQ(read("stderr"), "0123");
  EXPECT_EQ(err->lost(), 2u);
  EXPECT_EQ(use().used, 10u);
}

TEST_F(LogQuotaTest, ManyWritersAtOnceNeverTakeMoreThanThereIs) {
  std::vector<pid_t> writers;
  for (int i = 0; i < 4; ++i) {
    writers.push_back(::fork());
    if (writers.back() != 0) continue;
    LogQuota quota = limited(100'000);
    auto log = open("log" + std::to_string(i), {}, quota);
    for (int n = 0; n < 10'000; ++n) log->write("0123456");
    ::_exit(0);
  }
  for (const pid_t pid : writers) ::waitpid(pid, nullptr, 0);
  std::size_t written = 0;
  for (int i = 0; i < 4; ++i) written += read("log" + std::to_string(i)).size();
  EXPECT_EQ(written, 100'000u);
  EXPECT_EQ(use().used, 100'000u);
  EXPECT_EQ(use().dropped, 180'000u);
}

TEST_F(LogQuotaTest, RotatingGivesBackWhatItRemoves) {
  LogQuota quota = limited(100);
  auto log = open("stdout", rotate(10, 2), quota);
  for (int n = 0; n < 50; ++n) log->write("012345678\n");
  EXPECT_EQ(log->lost(), 0u);
  EXPECT_EQ(use().used, 20u);
  EXPECT_EQ(read("stdout.1").size() + read("stdout.2").size() + read("stdout").size(), 20u);
}

TEST_F(LogQuotaTest, WhoRotatesKeepsTheNewestLines) {
  LogQuota quota = limited(35);
  auto log = open("stdout", rotate(10, 5), quota);
  for (int n = 10; n < 30; ++n) log->write("line " + std::to_string(n) + "..\n");
  EXPECT_EQ(log->lost(), 0u);
  EXPECT_EQ(read("stdout.1"), "line 29..\n");
  EXPECT_LE(use().used, 35u);
}

TEST_F(LogQuotaTest, OutlivesTheOneWhoCounted) {
  limited(10).take(7);
  EXPECT_EQ(limited(10).take(7), 3u);
  EXPECT_EQ(use().used, 10u);
}

TEST_F(LogQuotaTest, FirstLossWakesWhoeverWatchesTheCounter) {
  LogQuota quota = limited(4);
  const UniqueFd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  ASSERT_GE(::inotify_add_watch(watch.get(), counter_path().c_str(), IN_MODIFY), 0);
  char event[1024];
  auto log = open("stdout", {}, quota);
  log->write("1234");
  EXPECT_LT(::read(watch.get(), event, sizeof event), 0) << "the quota is full, but nothing is lost";
  log->write("5");
  EXPECT_GT(::read(watch.get(), event, sizeof event), 0);
  log->write("6");
  EXPECT_LT(::read(watch.get(), event, sizeof event), 0) << "told once";
  EXPECT_EQ(use().dropped, 2u);
}

TEST_F(LogQuotaTest, ACounterThatIsNoFileIsRefused) {
  ASSERT_EQ(::symlink("/etc/passwd", counter_path().c_str()), 0);
  EXPECT_EQ(LogQuota::open(counter_path(), 1).error().code.value(), ELOOP);
  ::unlink(counter_path().c_str());
  ASSERT_EQ(::mkfifo(counter_path().c_str(), 0600), 0);
  EXPECT_FALSE(LogQuota::open(counter_path(), 1));
  ::unlink(counter_path().c_str());
  EXPECT_EQ(read_log_use(counter_path())->used, 0u) << "no file: nothing counted yet";
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
