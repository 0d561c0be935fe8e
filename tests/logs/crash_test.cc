// A pump that is killed between each two of its system calls, one after the other, and the successor that goes on: what
// a reader finds then is all that was written, but for what a mark says may be missing where it is missing.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "base/files.h"
#include "isolation/launch/drain.h"
#include "isolation/launch/log_pump.h"
#include "isolation/log_pipe.h"
#include "tests/support/temp_folder.h"
#include "thermos/logs/run_reader.h"

namespace dewar {
namespace {

constexpr auto kOut = OutputStream::kStdout, kErr = OutputStream::kStderr;

/// One life of a run's logs, up to the system call at which it ends.
class Life {
 public:
  Life(LogRecipe recipe, std::vector<std::string> reads) : recipe_(std::move(recipe)), reads_(std::move(reads)) {
    out_ = std::move(make_log_pipe()).take();
    err_ = std::move(make_log_pipe()).take();
    end_ = std::move(make_log_pipe()).take();
  }

  /// Makes the folder's state before the pump that is killed begins.
  template <class Work>
  void prepare(Work work) {
    std::string subject;
    const auto log = RunLog::open(recipe_, LogFile::Begin::kGoOn, subject);
    ASSERT_TRUE(log) << log.error().message();
    work(**log);
  }

  /// False: the pump had ended before its `last`th system call did. Each time that it looks for output there is some.
  bool run_until(std::size_t last) {
    const pid_t pid = ::fork();
    if (pid == 0) pump();
    int status = 0;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_EQ(::ptrace(PTRACE_SETOPTIONS, pid, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL), 0);
    std::size_t calls = 0;
    for (bool entered = false; calls < last; entered = !entered) {
      ::ptrace(PTRACE_SYSCALL, pid, nullptr, nullptr);
      if (::waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) return false;
      user_regs_struct registers{};
      ::ptrace(PTRACE_GETREGS, pid, nullptr, &registers);
      if (!entered && registers.orig_rax == SYS_poll) feed();
      if (entered) ++calls;
    }
    ::kill(pid, SIGKILL);
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    return true;
  }

  void succeed() {
    out_.writer.reset(), err_.writer.reset();
    const pid_t pid = ::fork();
    if (pid == 0) {
      const int ends[] = {::fcntl(out_.reader.get(), F_DUPFD, 100), ::fcntl(err_.reader.get(), F_DUPFD, 100)};
      for (const int i : {0, 1}) ::dup2(ends[i], kReadEnds[i]);
      ::close_range(kReadEnds[1] + 1, ~0u, 0);
      ::_exit(drain_for_dead({.logs = recipe_, .status_file = {}, .has_pipes = true}));
    }
    int status = 0;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
  }

  const std::string& written(OutputStream stream) const { return written_[stream == kErr]; }
  std::size_t longest_read() const { return std::ranges::max(reads_, {}, &std::string::size).size(); }

 private:
  [[noreturn]] void pump() {
    ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    ::raise(SIGSTOP);
    std::string subject;
    auto log = RunLog::open(recipe_, LogFile::Begin::kGoOn, subject);
    std::vector<LogStream> streams(2);
    streams[0].pipe = std::move(out_.reader), streams[1].pipe = std::move(err_.reader);
    streams[1].id = kErr;
    end_.writer.reset();
    out_.writer.reset(), err_.writer.reset();
    LogPump pump(std::move(streams), std::move(log).take());
    pump.run_until_ended(end_.reader.get());
    pump.drain();
    ::_exit(0);
  }

  /// The process writes: now to stdout, then to stderr; at the end it ends.
  void feed() {
    if (at_ == reads_.size()) {
      out_.writer.reset(), err_.writer.reset(), end_.writer.reset();
      return;
    }
    const std::string& bytes = reads_[at_];
    if (recipe_.quota > 0 && at_ % 4 == 3) (*LogQuota::open(recipe_.counter, 1)).give_back(1500);  // some room again
    ASSERT_TRUE(write_all((at_ % 3 == 2 ? err_ : out_).writer.get(), bytes, "pipe"));
    written_[at_++ % 3 == 2] += bytes;
  }

  LogRecipe recipe_;
  std::vector<std::string> reads_;
  Pipe out_, err_, end_;
  std::string written_[2];
  std::size_t at_ = 0;
};

class CrashTest : public testing::Test {
 protected:
  CrashTest() {
    recipe_.folder = run_ / "logs";
    recipe_.policy.mode = LogMode::kRotate;
    recipe_.policy.log_size = 300;
    recipe_.policy.backups = 50;
  }

  /// `count` reads' worth of lines, no two alike.
  static std::vector<std::string> reads(int count, int lines) {
    std::vector<std::string> all;
    for (int i = 0; i < count; ++i) {
      std::string text;
      for (int line = 0; line < lines; ++line) text += "line " + std::to_string(10'000 + i * lines + line) + "\n";
      all.push_back(text);
    }
    return all;
  }

  /// Reads all and holds it against what was written: where a part is not there, the marks since the part before say
  /// that as much may be missing.
  void expect_all_is_said(const Life& life) const {
    const auto reader = RunReader::open(recipe_.folder, {.process = "p", .run = 0, .only = nullptr});
    ASSERT_TRUE(reader) << reader.error().message();
    for (const OutputStream stream : {kOut, kErr}) {
      std::string part;
      std::uint64_t found = 0, position = 0, missing = 0;
      const std::string& written = life.written(stream);
      const auto take = [&] {
        const std::size_t at = written.find(part, found);
        ASSERT_NE(at, written.npos) << file_name(stream) << ": never written after " << found << ": '" << part << "'";
        ASSERT_LE(at - found, missing) << file_name(stream) << ": missing at " << found << ", and no mark tells it";
        if (part.empty()) return;
        found = at + part.size(), missing = 0;
        part.clear();
      };
      (*reader)->seek_start();
      while (const LogItem* item = (*reader)->next(true)) {
        if (item->stream != stream) continue;
        ASSERT_EQ(item->position, position) << "positions are a cursor";
        position = item->end;
        if (item->kind == LogItem::Kind::kLine) part += std::string(item->text) + (item->unfinished ? "" : "\n");
        if (item->kind != LogItem::Kind::kGap) continue;
        ASSERT_NO_FATAL_FAILURE(take());
        missing += item->missing;
        if (item->cause == Missing::kLostPump) missing -= LogPump::kInHand - life.longest_read();  // more never was
      }
      ASSERT_NO_FATAL_FAILURE(take());
      ASSERT_LE(written.size() - found, missing) << file_name(stream) << ": missing at the end, and no mark tells it";
    }
  }

  /// Kills a pump at its first system call, the next one at its second, ….
  template <class Work>
  void kill_everywhere(const std::vector<std::string>& reads, Work prepare) {
    std::size_t call = 1;
    for (bool killed = true; killed && !HasFailure(); ++call) {
      SCOPED_TRACE("killed after system call " + std::to_string(call));
      ASSERT_TRUE(make_dirs(recipe_.folder));
      if (recipe_.quota > 0) recipe_.counter = run_ / "used";
      Life life(recipe_, reads);
      ASSERT_NO_FATAL_FAILURE(life.prepare(prepare));
      killed = life.run_until(call);
      if (killed) life.succeed();
      expect_all_is_said(life);
      if (HasFailure()) (void)!::system(("ls -li " + recipe_.folder).c_str());
      ASSERT_TRUE(remove_tree(recipe_.folder));
      (void)::unlink((run_ / "used").c_str());
    }
    EXPECT_GT(call, 20u);
    RecordProperty("calls", static_cast<int>(call));
    std::printf("%zu system calls\n", call);
  }

  TempFolder run_;
  LogRecipe recipe_;
};

TEST_F(CrashTest, WhileFilesAreRotated) {
  kill_everywhere(reads(5, 20), [](RunLog&) {});
}

TEST_F(CrashTest, WhileOldFilesAreRemoved) {
  for (const std::uint32_t backups : {0u, 1u, 2u}) {
    recipe_.policy.backups = backups;
    kill_everywhere(reads(4, 40), [](RunLog&) {});
  }
}

TEST_F(CrashTest, WhileTheIndexIsRotated) {
  kill_everywhere(reads(8, 20), [&](RunLog&) {
    // As if nearly a whole segment had been written, and two before it.
    const auto nothing = encode_index_record({.kind = IndexKind::kGap, .reason = GapReason::kRate});
    const auto fill = [&](const std::string& name, std::size_t records) {
      const auto file = open_file(recipe_.folder + "/" + name, O_WRONLY | O_CREAT | O_APPEND);
      std::string text;
      for (std::size_t i = 0; i < records; ++i) text.append(nothing.data(), nothing.size());
      ASSERT_TRUE(write_all(file->get(), text, name));
    };
    fill("index.2", 1), fill("index.1", 1), fill("index", kIndexSegmentSize / kIndexRecordSize - 16);
  });
}

TEST_F(CrashTest, WhileARateLimitDrops) {
  recipe_.policy.rate_limit = 1000;
  recipe_.policy.when_full = WhenFull::kDrop;
  kill_everywhere(reads(6, 60), [](RunLog&) {});
}

TEST_F(CrashTest, WhileAQuotaIsFull) {
  recipe_.policy.mode = LogMode::kStandard;
  recipe_.quota = 2000;
  kill_everywhere(reads(8, 60), [](RunLog&) {});
}

}  // namespace
}  // namespace dewar
