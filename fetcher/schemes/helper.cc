// Schemes that the operator has given to a command (as Mesos gives them to `hadoop`): its output is the file.
#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <vector>

#include "base/files.h"
#include "base/process.h"
#include "base/units.h"
#include "fetcher/schemes/schemes.h"
#include "fetcher/uri.h"

namespace dewar {
namespace {

TransferResult ended(TransferEnd end, std::string words) {
  TransferResult result;
  result.end = end;
  result.words = std::move(words);
  return result;
}

}  // namespace

TransferResult transfer_helper(const TransferContext& context) {
  const std::string scheme = scheme_of(context.order.uri);
  Spawn command;
  command.argv = context.config.helpers.at(scheme);
  command.program = command.argv[0];
  for (std::string& word : command.argv) {
    const std::size_t at = word.find("{uri}");
    if (at != std::string::npos) word.replace(at, 5, context.order.uri);
  }
  command.env = {"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8"};
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return ended(TransferEnd::kAgain, fail_errno("make a pipe").error.message());
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  command.fds = {-1, writer.get(), STDERR_FILENO};
  command.new_session = true;
  const auto pid = spawn(command);
  writer.reset();
  if (!pid) return ended(TransferEnd::kRefused, pid.error().message());

  TransferResult result;
  std::string refusal;
  std::vector<char> block(1u << 18);
  const Time deadline = SystemClock().now() + context.order.timeout;
  while (refusal.empty()) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - SystemClock().now()).count();
    pollfd input{reader.get(), POLLIN, 0};
    if (left <= 0 || ::poll(&input, 1, static_cast<int>(std::min<std::int64_t>(left, 1 << 30))) <= 0) {
      refusal = "the helper took longer than " + format_duration(context.order.timeout);
      break;
    }
    const ssize_t n = retry_eintr([&] { return ::read(reader.get(), block.data(), block.size()); });
    if (n <= 0) break;
    result.written += static_cast<std::uint64_t>(n);
    refusal = size_refusal(context.order, result.written);
    if (!refusal.empty()) break;
    if (auto put = write_all(context.out, {block.data(), static_cast<std::size_t>(n)}, "what came"); !put)
      refusal = put.error().message();
    context.progress(result.written, 0);
  }
  if (!refusal.empty()) ::kill(-*pid, SIGKILL);
  int status = 0;
  retry_eintr([&] { return ::waitpid(*pid, &status, 0); });
  result.address = command.program;
  result.end = TransferEnd::kComplete;
  if (!refusal.empty()) {
    result.end = TransferEnd::kRefused;
    result.words = refusal;
  } else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    result.end = TransferEnd::kAgain;
    result.words = command.program + " ended with " +
                   (WIFEXITED(status) ? "exit status " + std::to_string(WEXITSTATUS(status))
                                      : "signal " + std::to_string(WTERMSIG(status)));
  }
  return result;
}

}  // namespace dewar
