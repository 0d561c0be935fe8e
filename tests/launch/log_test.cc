#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstdlib>

#include "base/files.h"
#include "base/process.h"
#include "isolation/launch/log_pump.h"
#include "isolation/log_pipe.h"

namespace dewar {
namespace {

class LogTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/var/tmp/dewar-log-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    path_ = name;
    folder_ = std::move(open_file(path_, O_RDONLY | O_DIRECTORY)).take();
    ASSERT_TRUE(make_dirs(path_ + ".index"));
    index_folder_ = std::move(open_file(path_ + ".index", O_RDONLY | O_DIRECTORY)).take();
    index_ = std::move(IndexFile::open(index_folder_, unlimited_)).take();
  }
  void TearDown() override {
    EXPECT_TRUE(remove_tree(path_));
    EXPECT_TRUE(remove_tree(path_ + ".index"));
  }

  static LogPolicy rotate(std::uint64_t size, std::uint32_t backups) {
    return {LogDestination::kFile, LogMode::kRotate, size, backups};
  }
  Result<LogFile> open(const LogPolicy& policy = {}) { return open("stdout", policy, quota_); }
  Result<LogFile> open(const std::string& name, const LogPolicy& policy, LogQuota& quota) {
    const OutputStream stream = name == "stdout" ? OutputStream::kStdout : OutputStream::kStderr;
    return LogFile::open(folder_, stream, policy, quota, *index_);
  }
  std::string read(const std::string& name) const {
    auto text = read_file(path_ + "/" + name);
    return text ? std::move(text).take() : "(none)";
  }
  std::uint64_t size(const std::string& name) const {
    struct stat info {};
    return ::stat((path_ + "/" + name).c_str(), &info) == 0 ? static_cast<std::uint64_t>(info.st_size) : ~0ull;
  }
  std::vector<std::string> names() const { return *list_dir(path_); }
  void put(const std::string& name, const std::string& text) { ASSERT_TRUE(replace_file(path_ + "/" + name, text)); }

  std::string path_;
  UniqueFd folder_, index_folder_;
  LogQuota quota_, unlimited_;
  std::optional<IndexFile> index_;
};

void put_line(LogFile& log, std::string_view bytes) { log.write(bytes, wall_time()); }

using Names = std::vector<std::string>;

TEST_F(LogTest, StandardModeAppendsToWhatIsThere) {
  put("stdout", "old\n");
  auto log = open();
  ASSERT_TRUE(log);
  put_line(*log, "new\n");
  EXPECT_EQ(read("stdout"), "old\nnew\n");
}

TEST_F(LogTest, StandardModeGoesOnAtTheEndAfterSomebodyEmptiedTheFile) {
  auto log = open();
  put_line(*log, "first\n");
  ASSERT_EQ(::truncate((path_ + "/stdout").c_str(), 0), 0);
  put_line(*log, "second\n");
  EXPECT_EQ(read("stdout"), "second\n");
}

TEST_F(LogTest, RotateModeStartsAnew) {
  put("stdout", "old\n");
  auto log = open(rotate(100, 2));
  put_line(*log, "new\n");
  EXPECT_EQ(read("stdout"), "new\n");
}

TEST_F(LogTest, AFileThatReachesItsLimitExactlyIsRotatedAtOnce) {
  auto log = open(rotate(10, 2));
  put_line(*log, "123456789\n");
  EXPECT_EQ(read("stdout"), "");
  EXPECT_EQ(read("stdout.1"), "123456789\n");
}

TEST_F(LogTest, AFileBelowItsLimitIsNotRotated) {
  auto log = open(rotate(10, 2));
  put_line(*log, "12345678\n");
  EXPECT_EQ(names(), Names{"stdout"});
}

TEST_F(LogTest, RotationKeepsTheNewestBackupsInOrder) {
  auto log = open(rotate(2, 2));
  for (const char* line : {"a\n", "b\n", "c\n", "d\n"}) put_line(*log, line);
  EXPECT_EQ(names(), (Names{"stdout", "stdout.1", "stdout.2"}));
  EXPECT_EQ(read("stdout.1"), "d\n");
  EXPECT_EQ(read("stdout.2"), "c\n");
}

TEST_F(LogTest, OneBigWriteIsSpreadOverFilesThatEndWithWholeLines) {
  std::string lines, all;
  for (int i = 100; i < 200; ++i) lines += "line" + std::to_string(i) + "\n";
  auto log = open(rotate(20, 50));
  put_line(*log, lines);
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
  put_line(*log, std::string(100'000, 'x'));
  EXPECT_EQ(read("stdout.1").size(), 100u);
  EXPECT_EQ(read("stdout").size(), 0u);
}

TEST_F(LogTest, WithoutBackupsTheFileStartsFromItsBeginning) {
  auto log = open(rotate(4, 0));
  put_line(*log, "abc\n");
  put_line(*log, "d\n");
  EXPECT_EQ(names(), Names{"stdout"});
  EXPECT_EQ(read("stdout"), "d\n");
}

TEST_F(LogTest, AFileThatCannotBeMovedAwayGoesOnGrowing) {
  ASSERT_TRUE(make_dirs(path_ + "/stdout.1"));  // a folder there makes rename(2) fail
  auto log = open(rotate(4, 1));
  put_line(*log, "abc\n");
  put_line(*log, "def\n");
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

// covers: limit sandbox.logs.quota
TEST_F(LogQuotaTest, EndsWithTheLastByteThatHasRoomAndCountsTheRest) {
  LogQuota quota = limited(10);
  auto log = open("stdout", {}, quota);
  put_line(*log, "0123456");
  put_line(*log, "789abc");
  put_line(*log, "d");
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
  put_line(*out, "012345");
  put_line(*err, "012345");
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
    ASSERT_TRUE(make_dirs(path_ + "/" + std::to_string(i)));
    folder_ = std::move(open_file(path_ + "/" + std::to_string(i), O_RDONLY | O_DIRECTORY)).take();
    auto log = open("stdout", {}, quota);
    for (int n = 0; n < 10'000; ++n) put_line(*log, "0123456");
    ::_exit(0);
  }
  for (const pid_t pid : writers) ::waitpid(pid, nullptr, 0);
  std::size_t written = 0;
  for (int i = 0; i < 4; ++i) written += read(std::to_string(i) + "/stdout").size();
  EXPECT_EQ(written, 100'000u);
  EXPECT_EQ(use().used, 100'000u);
  EXPECT_EQ(use().dropped, 180'000u);
}

TEST_F(LogQuotaTest, RotatingGivesBackWhatItRemoves) {
  LogQuota quota = limited(100);
  auto log = open("stdout", rotate(10, 2), quota);
  for (int n = 0; n < 50; ++n) put_line(*log, "012345678\n");
  EXPECT_EQ(log->lost(), 0u);
  EXPECT_EQ(use().used, 20u);
  EXPECT_EQ(read("stdout.1").size() + read("stdout.2").size() + read("stdout").size(), 20u);
}

TEST_F(LogQuotaTest, WhoRotatesKeepsTheNewestLines) {
  LogQuota quota = limited(35);
  auto log = open("stdout", rotate(10, 5), quota);
  for (int n = 10; n < 30; ++n) put_line(*log, "line " + std::to_string(n) + "..\n");
  EXPECT_EQ(log->lost(), 0u);
  EXPECT_EQ(read("stdout.1"), "line 29..\n");
  EXPECT_LE(use().used, 35u);
}

TEST_F(LogQuotaTest, OutlivesTheOneWhoCounted) {
  limited(10).take(7);
  EXPECT_EQ(limited(10).take(7), 3u);
  EXPECT_EQ(use().used, 10u);
}

TEST_F(LogQuotaTest, TheLogsOfEndedRunsGoFirstTheOldestOfThem) {
  for (const char* run : {"web/0", "web/1", "other/0", "web/2"}) {
    ASSERT_TRUE(make_dirs(path_ + "/logs/" + run));
    put("logs/" + std::string(run) + "/stdout", "0123456789");
  }
  const timespec old[2] = {{1000, 0}, {1000, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, (path_ + "/logs/web/1/stdout").c_str(), old, 0), 0);
  LogQuota quota = limited(50);
  quota.charge(40);
  folder_ = std::move(open_file(path_ + "/logs/web/2", O_RDONLY | O_DIRECTORY)).take();
  auto log = open("stdout", {}, quota);
  log->share(path_ + "/logs");
  put_line(*log, "twenty bytes of text");
  EXPECT_FALSE(exists(path_ + "/logs/web/1")) << "it ended first";
  EXPECT_TRUE(exists(path_ + "/logs/web/0"));
  EXPECT_EQ(log->lost(), 0u);
  put_line(*log, "twenty bytes of text");
  EXPECT_FALSE(exists(path_ + "/logs/web/0"));
  EXPECT_TRUE(exists(path_ + "/logs/other/0")) << "the newest run of a process may be alive";
  EXPECT_EQ(log->lost(), 10u);
  EXPECT_EQ(use().used, 50u);
  EXPECT_EQ(log->removed_runs(), 2u);
  EXPECT_EQ(log->removed_for(), "the task's quota of 50 B for output is full");
}

TEST_F(LogQuotaTest, OneWithinAnotherHasRoomWhereBothHave) {
  auto outer = LogQuota::open(path_ + "/counter/outer", 15);
  ASSERT_TRUE(outer);
  LogQuota quota = limited(10);
  quota.within(std::move(outer).take());
  EXPECT_EQ(quota.take(8), 8u);
  EXPECT_EQ(quota.take(8), 2u);
  EXPECT_EQ(quota.problem(), "the task's quota of 10 B for output is full");
  quota.give_back(10);
  auto other = LogQuota::open(path_ + "/counter/outer", 15);
  EXPECT_EQ(other->take(12), 12u);
  EXPECT_EQ(quota.take(8), 3u);
  EXPECT_EQ(quota.problem(), "the quota of 15 B for the logs of the work dir is full");
  EXPECT_EQ(use().used, 3u) << "what the outer one has no room for is not counted here either";
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
    stream.console = console;
    auto ends = std::move(make_log_pipe()).take();
    stream.pipe = std::move(ends.reader);
    writer = std::move(ends.writer);
    std::string subject;
    LogRecipe recipe;
    recipe.policy = policy;
    recipe.folder = path_;
    auto log = RunLog::open(recipe, LogFile::Begin::kNew, subject);
    EXPECT_TRUE(log) << log.error().message();
    const auto pid = spawn({.program = "/bin/sh",
                            .argv = {"sh", "-c", command},
                            .env = {"PATH=/usr/bin:/bin"},
                            .fds = {-1, writer.get()}});
    EXPECT_TRUE(pid);
    writer.reset();
    const UniqueFd child = std::move(open_child(*pid)).take();
    std::vector<LogStream> streams;
    streams.push_back(std::move(stream));
    LogPump moving(std::move(streams), std::move(log).take());
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
  EXPECT_EQ(names(), (Names{"index", "stderr", "stdout", "stdout.1", "stdout.2", "stdout.3", "stdout.4", "stdout.5"}));
  for (int n = 1; n <= 5; ++n) EXPECT_EQ(read("stdout." + std::to_string(n)).size(), 1u << 20);
  EXPECT_EQ(read("stdout"), "");
}

// covers: F31
TEST_F(PumpTest, OneEndlessLineAndBytesOfAnyKindTakeNoMemory) {
  rusage before{}, after{};
  ::getrusage(RUSAGE_SELF, &before);
  EXPECT_EQ(pump("printf 'a\\0b\\377\\rc'; head -c 1G /dev/zero", rotate(256u << 20, 1)), "");
  ::getrusage(RUSAGE_SELF, &after);
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 4096) << "KiB";
  EXPECT_EQ(size("stdout.1"), 256u << 20);
  EXPECT_EQ(size("stdout"), 6u);
}

}  // namespace
}  // namespace dewar
