#include "tests/cli/dewar_command.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "base/files.h"
#include "base/process.h"

namespace dewar {
namespace {

constexpr int kPatienceMs = 60000;

std::pair<UniqueFd, UniqueFd> pipe_ends() {
  int ends[2] = {-1, -1};
  EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

std::pair<UniqueFd, UniqueFd> terminal_ends() {
  winsize size{24, 80, 0, 0};
  int master = -1, slave = -1;
  EXPECT_EQ(::openpty(&master, &slave, nullptr, nullptr, &size), 0);
  for (const int fd : {master, slave}) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  return {UniqueFd(master), UniqueFd(slave)};
}

}  // namespace

DewarCommand::DewarCommand(const std::vector<std::string>& arguments, Output output,
                           const std::vector<std::string>& env) {
  UniqueFd out, err;
  if (output == Output::kTerminal) {
    std::tie(out_fd_, out) = terminal_ends();
  } else {
    std::tie(out_fd_, out) = pipe_ends();
    std::tie(err_fd_, err) = pipe_ends();
  }
  Spawn command;
  command.program = std::string(DEWAR_BIN) + "/dewar";
  command.argv = arguments;
  command.argv.insert(command.argv.begin(), "dewar");
  command.env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "TERM=xterm", "TZ=UTC"};
  command.env.insert(command.env.end(), env.begin(), env.end());
  command.fds = {-1, out.get(), err ? err.get() : out.get()};
  const auto pid = spawn(command);
  EXPECT_TRUE(pid) << pid.error().message();
  if (pid) pid_ = *pid;
}

DewarCommand::~DewarCommand() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

bool DewarCommand::read_some() {
  pollfd sources[] = {{out_fd_.get(), POLLIN, 0}, {err_fd_.get(), POLLIN, 0}};
  if (retry_eintr([&] { return ::poll(sources, 2, kPatienceMs); }) <= 0) {
    ADD_FAILURE() << "dewar said nothing for a minute; so far: " << out_ << err_;
    return false;
  }
  char block[4096];
  const auto drain = [&](const pollfd& source, UniqueFd& fd, std::string& text) {
    if (source.revents == 0) return;
    const ssize_t n = retry_eintr([&] { return ::read(fd.get(), block, sizeof block); });
    if (n <= 0) return fd.reset();  // a terminal ends with EIO
    text.append(block, static_cast<std::size_t>(n));
  };
  drain(sources[0], out_fd_, out_);
  drain(sources[1], err_fd_, err_);
  return out_fd_ || err_fd_;
}

bool DewarCommand::wait_for(const std::string& words) {
  while (out_.find(words) == std::string::npos) {
    if (!read_some()) return false;
  }
  return true;
}

int DewarCommand::wait() {
  while (read_some()) {
  }
  int status = 0;
  retry_eintr([&] { return ::waitpid(pid_, &status, 0); });
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void DewarCommand::signal(int number) const {
  ASSERT_GT(pid_, 0);
  ::kill(pid_, number);
}

}  // namespace dewar
