#include "base/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "base/files.h"

namespace dewar {
namespace {

int wait_for(pid_t pid) {
  int status = 0;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  return status;
}

Spawn shell(const std::string& command) {
  Spawn spawn;
  spawn.program = "/bin/sh";
  spawn.argv = {"sh", "-c", command};
  return spawn;
}

TEST(Spawn, GivesTheDescriptorsInOrderAndNoOthers) {
  int ends[2], hidden[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  ASSERT_EQ(::pipe2(hidden, O_CLOEXEC), 0);
  UniqueFd read_end(ends[0]), write_end(ends[1]), hidden_a(hidden[0]), hidden_b(hidden[1]);
  Spawn spawn = shell("echo out >&1; echo three >&3; exec ls -m /proc/self/fd >&3");
  spawn.fds = {-1, write_end.get(), -1, write_end.get()};
  const auto pid = dewar::spawn(spawn);
  ASSERT_TRUE(pid) << pid.error().message();
  write_end.reset();
  EXPECT_EQ(*read_all(read_end.get(), "pipe"), "out\nthree\n0, 1, 2, 3, 4\n");  // 4 is what ls itself opens
  EXPECT_EQ(wait_for(*pid), 0);
}

TEST(Spawn, AProgramThatIsNotThereIsAnErrorNotAProcess) {
  Spawn spawn;
  spawn.program = "/nonexistent/program";
  spawn.argv = {"program"};
  const auto pid = dewar::spawn(spawn);
  ASSERT_FALSE(pid);
  EXPECT_EQ(pid.error().code, std::errc::no_such_file_or_directory);
}

TEST(Spawn, UnblocksAndResetsSignals) {
  sigset_t set, old;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  ::sigprocmask(SIG_BLOCK, &set, &old);
  const auto old_pipe = std::signal(SIGPIPE, SIG_IGN);
  // Both signals end the shell only if it neither blocks nor ignores them.
  const auto by_term = dewar::spawn(shell("kill -TERM $$; exit 7")),
             by_pipe = dewar::spawn(shell("kill -PIPE $$; exit 7"));
  std::signal(SIGPIPE, old_pipe);
  ::sigprocmask(SIG_SETMASK, &old, nullptr);
  ASSERT_TRUE(by_term);
  ASSERT_TRUE(by_pipe);
  EXPECT_EQ(WTERMSIG(wait_for(*by_term)), SIGTERM);
  EXPECT_EQ(WTERMSIG(wait_for(*by_pipe)), SIGPIPE);
}

TEST(Process, AnIdentityOpensOnlyItsOwnProcess) {
  const auto pid = dewar::spawn(shell("exec sleep 60"));
  ASSERT_TRUE(pid);
  const auto id = identify(*pid);
  ASSERT_TRUE(id);
  const auto open = open_process(*id);
  ASSERT_TRUE(open);
  ProcessId stranger = *id;
  ++stranger.start_ticks;
  EXPECT_EQ(open_process(stranger).error().code, std::errc::no_such_process);
  EXPECT_FALSE(has_ended(*open));
  ASSERT_TRUE(send_signal(*open, SIGKILL));
  pollfd end{open->get(), POLLIN, 0};
  ASSERT_EQ(::poll(&end, 1, 10000), 1);
  EXPECT_TRUE(has_ended(*open));
  EXPECT_EQ(WTERMSIG(wait_for(*pid)), SIGKILL);
  EXPECT_TRUE(send_signal(*open, SIGKILL)) << "a process that has ended is no error";
  EXPECT_FALSE(open_process(*id));
}

TEST(Process, ANameWithBracketsDoesNotConfuseIdentify) {
  const auto me = identify(::getpid());
  ASSERT_TRUE(me);
  char old[16] = {};
  const UniqueFd comm(::open("/proc/self/comm", O_RDWR | O_CLOEXEC));
  ASSERT_GT(::read(comm.get(), old, sizeof old), 0);
  ASSERT_TRUE(write_all(comm.get(), "a) R 1 (b", "comm"));
  EXPECT_EQ(*identify(::getpid()), *me);
  ASSERT_TRUE(write_all(comm.get(), old, "comm"));
}

}  // namespace
}  // namespace dewar
