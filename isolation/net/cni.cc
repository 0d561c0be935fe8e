#include "isolation/net/cni.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/files.h"
#include "base/pipe.h"
#include "base/process.h"

namespace dewar {
namespace {

constexpr auto kLongest = std::chrono::seconds(60);  // iptables may wait for others; usual: 0.1 s
constexpr std::size_t kMostOutput = 256u << 10;

std::string trimmed(const std::string& text) {
  constexpr const char* kSpace = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kSpace);
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

bool is_object(const std::string& text) { return text.starts_with('{') && text.ends_with('}'); }

/// A file in memory: a plugin may read it slowly, or not at all.
Result<UniqueFd> memory_holding(const std::string& text) {
  UniqueFd fd(::memfd_create("cni", MFD_CLOEXEC));
  if (!fd) return fail_errno("make a file in memory");
  DEWAR_TRY(write_all(fd.get(), text, "a plugin's configuration"));
  if (::lseek(fd.get(), 0, SEEK_SET) != 0) return fail_errno("rewind a file in memory");
  return fd;
}

/// Everything until all writers have closed the pipe.
Result<std::string> read_until(const UniqueFd& pipe, Time deadline) {
  std::string output;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - SystemClock().now()).count();
    if (left <= 0) return fail("no answer within a minute");
    pollfd watched{pipe.get(), POLLIN, 0};
    if (retry_eintr([&] { return ::poll(&watched, 1, static_cast<int>(left)); }) == 0) continue;
    char buffer[4096];
    const ssize_t size = retry_eintr([&] { return ::read(pipe.get(), buffer, sizeof buffer); });
    if (size < 0) return fail_errno("read its answer");
    if (size == 0) return output;
    output.append(buffer, static_cast<std::size_t>(size));
    if (output.size() > kMostOutput) return fail("its answer is longer than 256 KB");
  }
}

/// The words of a plugin's error object, `"msg": "…"`; the whole answer where it has none.
std::string words_of(const std::string& answer) {
  constexpr std::string_view kKey = "\"msg\":";
  const std::size_t key = answer.find(kKey);
  std::size_t at = key == std::string::npos ? key : answer.find('"', key + kKey.size());
  if (at == std::string::npos) return answer.empty() ? "it said nothing" : answer.substr(0, 1000);
  std::string words;
  for (++at; at < answer.size() && answer[at] != '"'; ++at) {
    if (answer[at] == '\\' && at + 1 < answer.size()) ++at;
    words += answer[at];
  }
  return words;
}

std::string with_previous(const std::string& config, const std::string& previous) {
  if (previous.empty()) return config;
  return config.substr(0, config.rfind('}')) + ",\"prevResult\":" + previous + "}";
}

Result<std::string> converse(const CniPlugin& plugin, const CniCall& call, const std::string& previous) {
  const UniqueFd input = DEWAR_TRY(memory_holding(with_previous(plugin.config, previous)));
  Pipe answer = DEWAR_TRY(make_pipe());
  Spawn start;
  start.program = plugin.program;
  start.argv = {plugin.program};
  start.env = {"CNI_COMMAND=" + call.command,
               "CNI_CONTAINERID=" + call.container_id,
               "CNI_NETNS=" + call.netns,
               "CNI_IFNAME=eth0",
               "CNI_PATH=" + parent_of(plugin.program) + ":/usr/lib/cni:/opt/cni/bin",  // of those that it runs itself
               "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
  start.fds = {input.get(), answer.writer.get(), STDERR_FILENO, call.lock};
  start.new_session = true;
  const pid_t pid = DEWAR_TRY(spawn(start));
  answer.writer.reset();
  auto text = read_until(answer.reader, SystemClock().now() + kLongest);
  if (!text) ::kill(-pid, SIGKILL);  // our own child, not reaped yet, and what it has started
  int status = 0;
  retry_eintr([&] { return ::waitpid(pid, &status, 0); });
  if (!text) return text;
  const std::string said = trimmed(*text);
  if (WIFSIGNALED(status)) return fail("it was killed by signal " + std::to_string(WTERMSIG(status)));
  if (WEXITSTATUS(status) != 0) return fail(words_of(said));
  if (call.command == "ADD" && !is_object(said)) return fail("its answer is no JSON object");
  return said;
}

}  // namespace

Result<std::string> run_cni_plugin(const CniPlugin& plugin, const CniCall& call, const std::string& previous) {
  return converse(plugin, call, previous).context("CNI plugin " + plugin.program + " " + call.command);
}

}  // namespace dewar
