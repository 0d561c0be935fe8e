// A pump that is killed, and the launcher that goes on for it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <random>

#include "base/cgroup_members.h"
#include "base/files.h"
#include "isolation/log_index.h"
#include "isolation/log_pipe.h"
#include "tests/launch/launch_fixture.h"

namespace dewar::testing {
namespace {

using Counter = std::atomic<std::uint64_t>;

/// An attempt whose pipes we hold, as the runner does.
class SuccessorTest : public LaunchTest {
 protected:
  void SetUp() override {
    LaunchTest::SetUp();
    if (IsSkipped()) return;
    make_container();
    const std::string program = slurp(DEWAR_BIN "/testcase");
    ASSERT_TRUE(replace_file(scratch() + "/sandbox/testcase", program, 0755));
    ASSERT_TRUE(replace_file(scratch() + "/sandbox/written", std::string(sizeof(Counter), '\0'), 0666));
    ASSERT_EQ(::mkfifo((scratch() + "/sandbox/bell").c_str(), 0666), 0);
    const auto file = open_file(scratch() + "/sandbox/written", O_RDWR);
    written_ =
        static_cast<Counter*>(::mmap(nullptr, sizeof(Counter), PROT_READ | PROT_WRITE, MAP_SHARED, file->get(), 0));
  }

  /// Starts the launcher with pipes; we keep the ends that read.
  pid_t start_with_pipes(AttemptRecipe& recipe) {
    recipe.has_pipes = true;
    out_ = std::move(make_log_pipe()).take();
    err_ = std::move(make_log_pipe()).take();
    const pid_t pid = launch({out_.reader.get(), err_.reader.get(), out_.writer.get(), err_.writer.get()},
                             encode_recipe(recipe), init().get());
    out_.writer.reset(), err_.writer.reset();
    return pid;
  }
  /// As the runner does it: first of all nobody writes any more.
  void succeed(const AttemptRecipe& recipe, bool has_pipes = true) {
    ASSERT_TRUE(kill_members(recipe.sweep_cgroup, 10'000));
    std::vector<int> ends;
    if (has_pipes) ends = {out_.reader.get(), err_.reader.get()};
    const pid_t pid = launch(ends, encode_recipe(DrainRecipe{recipe.logs, recipe.status_file, has_pipes}), -1);
    out_.reader.reset(), err_.reader.reset();
    EXPECT_EQ(wait_for_launcher(pid), 0);
  }
  void kill_launcher(pid_t pid) {
    ::kill(pid, SIGKILL);
    EXPECT_EQ(wait_for_launcher(pid), -SIGKILL);
  }
  /// Waits until `fd` can be read; false: the launcher has ended.
  static bool await(int fd, pid_t launcher) {
    const auto process = open_child(launcher);
    pollfd watched[] = {{fd, POLLIN, 0}, {process ? process->get() : -1, POLLIN, 0}};
    return process && ::poll(watched, 2, -1) > 0 && watched[1].revents == 0;
  }
  /// Waits until the attempt has written so much, and the launcher has put it into the log.
  bool await_output(const AttemptRecipe& recipe, const std::string& text, const std::string& error,
                    pid_t launcher) const {
    const UniqueFd watch(::inotify_init1(IN_CLOEXEC));
    ::inotify_add_watch(watch.get(), recipe.logs.folder.c_str(), IN_MODIFY | IN_CREATE);
    while (out() != text || err() != error) {
      if (!await(watch.get(), launcher)) return false;
      char events[4096];
      (void)!::read(watch.get(), events, sizeof events);
    }
    return true;
  }
  std::vector<IndexRecord> records(IndexKind kind) const {
    std::vector<IndexRecord> found;
    const std::string bytes = log("index");
    for (std::size_t at = 0; at + kIndexRecordSize <= bytes.size(); at += kIndexRecordSize) {
      const auto record = decode_index_record(std::string_view(bytes).substr(at));
      if (record && record->kind == kind) found.push_back(*record);
    }
    return found;
  }
  Counter& written() { return *written_; }

 private:
  static pid_t launch(const std::vector<int>& ends, const std::string& recipe, int second) {
    int pipe[2];
    EXPECT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
    const UniqueFd reader(pipe[0]);
    UniqueFd writer(pipe[1]);
    Spawn launcher{.program = DEWAR_BIN "/dewar-launch",
                   .argv = {"dewar-launch"},
                   .env = {},
                   .fds = {-1, -1, -1},
                   .new_session = true};
    launcher.fds.insert(launcher.fds.end(), {reader.get(), second});
    launcher.fds.insert(launcher.fds.end(), ends.begin(), ends.end());
    const auto pid = spawn(launcher);
    EXPECT_TRUE(pid) << pid.error().message();
    EXPECT_TRUE(write_all(writer.get(), recipe, "recipe"));
    return *pid;
  }

  Counter* written_ = nullptr;
  Pipe out_, err_;
};

TEST_F(SuccessorTest, BringsWhatIsLeftInThePipesIntoTheLog) {
  AttemptRecipe recipe = attempt_recipe("echo one; echo two >&2; sleep 1000");
  const pid_t pid = start_with_pipes(recipe);
  ASSERT_TRUE(await_output(recipe, "one\n", "two\n", pid));
  ::kill(pid, SIGSTOP);  // nobody reads any more
  int stopped = 0;
  ASSERT_EQ(::waitpid(pid, &stopped, WUNTRACED), pid);
  kill_launcher(pid);
  succeed(recipe);
  EXPECT_EQ(out(), "one\n");
  EXPECT_EQ(records(IndexKind::kGap).size(), 2u) << "a mark for each stream";
  EXPECT_EQ(records(IndexKind::kEnd).size(), 2u);
}

TEST_F(SuccessorTest, WithoutThePipesItSaysSo) {
  AttemptRecipe recipe = attempt_recipe("echo one; sleep 1000");
  const pid_t pid = start_with_pipes(recipe);
  ASSERT_TRUE(await_output(recipe, "one\n", "", pid));
  kill_launcher(pid);
  succeed(recipe, false);
  EXPECT_EQ(out(), "one\n");
  const auto gaps = records(IndexKind::kGap);
  ASSERT_EQ(gaps.size(), 2u);
  EXPECT_EQ(gaps[0].reason, GapReason::kLostPump);
  EXPECT_EQ(gaps[0].position, 4u);
  EXPECT_EQ(gaps[0].value, (256u << 10) + (1u << 20)) << "the pump's buffer and a pipe";
}

/// Checks that `text` holds the lines 0, 1, … up to at least `count`, but for at most `missing` bytes at `position`.
void expect_all_lines(const std::string& text, std::uint64_t count, std::uint64_t position, std::uint64_t missing) {
  std::uint64_t line = 0, offset = 0, lost = 0;
  while (offset < text.size()) {
    std::string expected = std::to_string(line) + "\n";
    std::string_view rest = std::string_view(text).substr(offset);
    if (rest.starts_with(expected) && (offset + expected.size() <= position || offset >= position)) {
      offset += expected.size(), ++line;
      continue;
    }
    // The hole may begin and end within a line; it may be here alone. Perhaps nothing is missing after all.
    if (lost == 0 && position > offset && rest.starts_with(expected)) {
      offset += expected.size(), ++line;
      continue;
    }
    ASSERT_EQ(lost, 0u) << "a second hole, at byte " << offset;
    ASSERT_GE(position, offset) << "a hole that no mark tells of";
    const std::size_t head = position - offset;
    ASSERT_LE(head, expected.size());
    ASSERT_EQ(rest.substr(0, head), expected.substr(0, head));
    // Whose tail stands behind the mark? Try each following line, and each tail of it.
    bool found = false;
    lost = expected.size() - head;
    for (std::uint64_t next = line + 1; !found && lost <= missing + 32; ++next) {
      const std::string after_hole = std::to_string(next) + "\n";
      for (std::size_t cut = 0; cut <= after_hole.size() && !found; ++cut) {
        const std::string tail =
            after_hole.substr(cut) + std::to_string(next + 1) + "\n" + std::to_string(next + 2) + "\n";
        const std::string_view there = rest.substr(head);
        found = there.size() >= tail.size() ? there.starts_with(tail) : std::string_view(tail).starts_with(there);
        if (found) lost += cut, offset = position + after_hole.size() - cut, line = next + 1;
      }
      if (!found) lost += after_hole.size();
    }
    ASSERT_TRUE(found) << "what stands behind the mark follows from nothing before it";
    ASSERT_LE(lost, missing);
  }
  // The hole may be at the end: what the dead pump had in its hands was the last.
  for (; line < count && lost <= missing && position == text.size(); ++line) lost += std::to_string(line).size() + 1;
  EXPECT_LE(lost, missing);
  EXPECT_GE(line, count) << "a line that write(2) had accepted is not there";
}

// The pump killed at random 200 times: no line that write(2) had put into the pipe, and that could still be read, is
// lost, and where what the dead pump had in its hands may be missing, a mark says so.
TEST_F(SuccessorTest, TwoHundredKillsAtRandomLoseNothingUnsaid) {
  std::mt19937 random(5);
  for (int round = 0; round < 200 && !HasFailure(); ++round) {
    written() = 0;
    AttemptRecipe recipe = attempt_recipe("");
    const std::uint64_t enough = std::uniform_int_distribution<std::uint64_t>(1, 10'000)(random);
    recipe.argv = {"/sandbox/testcase", "count", "/sandbox/written", "/sandbox/bell", std::to_string(enough)};
    if (round % 2 == 1) recipe.logs.policy = {LogDestination::kFile, LogMode::kRotate, 8u << 20, 3};
    const UniqueFd bell(::open((scratch() + "/sandbox/bell").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    const pid_t pid = start_with_pipes(recipe);
    ASSERT_TRUE(await(bell.get(), pid)) << "the launcher has ended";
    kill_launcher(pid);
    const std::uint64_t sure = written();
    ASSERT_NO_FATAL_FAILURE(succeed(recipe));

    const auto gaps = records(IndexKind::kGap);
    ASSERT_EQ(gaps.size(), 2u);
    ASSERT_EQ(gaps[0].reason, GapReason::kLostPump);
    std::string text;
    for (const char* name : {"stdout.3", "stdout.2", "stdout.1", "stdout"}) text += log(name);
    expect_all_lines(text, sure, gaps[0].position, gaps[0].value);
    const auto data = records(IndexKind::kData);
    std::uint64_t end = 0;  // all there was may have been in the dead pump's hands
    for (const IndexRecord& record : data) {
      EXPECT_EQ(record.position, end) << "no byte is without a record, none has two";
      end = record.position + record.value;
    }
    EXPECT_EQ(end, text.size());
  }
}

}  // namespace
}  // namespace dewar::testing
