// Schemes that the operator has given to a command (as Mesos gives them to `hadoop`): its output is the file.
#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <vector>

#include "base/files.h"
#include "base/pipe.h"
#include "base/process.h"
#include "base/units.h"
#include "fetcher/schemes/schemes.h"
#include "fetcher/uri.h"

namespace dewar {
namespace {

constexpr std::size_t kWordsShown = 200;

TransferResult ended(TransferEnd end, std::string words) {
  TransferResult result;
  result.end = end;
  result.words = std::move(words);
  return result;
}

/// One run of the command, from its start to its end.
class HelperRun {
 public:
  HelperRun(const TransferContext& context, pid_t pid, UniqueFd output, UniqueFd complaints)
      : context_(context),
        pid_(pid),
        output_(std::move(output)),
        complaints_(std::move(complaints)),
        deadline_(SystemClock().now() + context.order.timeout) {
    block_.resize(1u << 18);
  }

  /// Delivers its output. Not empty: why it had to be ended.
  std::string deliver() {
    const auto handle = open_child(pid_);
    if (!handle) return handle.error().message();
    // Closing its output does not end it: its end is waited for too, no longer than the rest.
    pollfd inputs[] = {{output_.get(), POLLIN, 0}, {complaints_.get(), POLLIN, 0}, {handle->get(), POLLIN, 0}};
    while (inputs[0].fd >= 0 || inputs[2].fd >= 0) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - SystemClock().now()).count();
      const int wait = static_cast<int>(std::clamp<std::int64_t>(left, 0, 1 << 30));
      if (left <= 0 || retry_eintr([&] { return ::poll(inputs, 3, wait); }) == 0)
        return "the helper took longer than " + format_duration(context_.order.timeout);
      if (inputs[1].revents != 0 && !listen()) inputs[1].fd = -1;
      if (inputs[0].revents != 0) {
        const ssize_t n = retry_eintr([&] { return ::read(output_.get(), block_.data(), block_.size()); });
        if (n < 0) return fail_errno("read the helper's output").error.message();
        if (n == 0) inputs[0].fd = -1;
        if (std::string refusal = take(static_cast<std::size_t>(n)); !refusal.empty()) return refusal;
      }
      if (inputs[2].revents != 0) inputs[2].fd = -1;
    }
    return {};
  }

  /// Waits for its end and takes its last words. `by_force`: ends it and what it has started.
  int reap(bool by_force) {
    if (by_force) ::kill(-pid_, SIGKILL);
    int status = 0;
    retry_eintr([&] { return ::waitpid(pid_, &status, 0); });
    for (pollfd rest{complaints_.get(), POLLIN, 0}; !by_force && ::poll(&rest, 1, 0) > 0 && listen();) {
    }
    return status;
  }

  std::uint64_t written() const { return written_; }

  /// On one line.
  std::string last_words() const {
    std::string shown;
    for (const char c : words_) {
      const bool blank = static_cast<unsigned char>(c) <= 32 || c == 127;
      if (!blank || (!shown.empty() && !shown.ends_with(' '))) shown += blank ? ' ' : c;
    }
    if (shown.ends_with(' ')) shown.pop_back();
    return shown;
  }

 private:
  /// Keeps the end of what it says. False: it will say nothing more.
  bool listen() {
    char text[4096];
    const ssize_t n = retry_eintr([&] { return ::read(complaints_.get(), text, sizeof text); });
    if (n <= 0) return false;
    words_.append(text, static_cast<std::size_t>(n));
    if (words_.size() > kWordsShown) words_.erase(0, words_.size() - kWordsShown);
    return true;
  }

  std::string take(std::size_t size) {
    written_ += size;
    if (std::string refusal = size_refusal(context_.order, written_); !refusal.empty()) return refusal;
    if (auto put = write_all(context_.out, {block_.data(), size}, "what came"); !put) return put.error().message();
    context_.progress(written_, 0);
    return {};
  }

  const TransferContext& context_;
  const pid_t pid_;
  const UniqueFd output_, complaints_;
  const Time deadline_;
  std::vector<char> block_;
  std::string words_;
  std::uint64_t written_ = 0;
};

}  // namespace

TransferResult transfer_helper(const TransferContext& context) {
  Spawn command;
  command.argv = context.config.helpers.at(scheme_of(context.order.uri));
  command.program = command.argv[0];
  for (std::string& word : command.argv) {
    const std::size_t at = word.find("{uri}");
    if (at != std::string::npos) word.replace(at, 5, context.order.uri);
  }
  command.env = {"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8"};
  auto output = make_pipe(), complaints = make_pipe();
  if (!output || !complaints) return ended(TransferEnd::kAgain, (output ? complaints : output).error().message());
  command.fds = {-1, output->writer.get(), complaints->writer.get()};
  command.new_session = true;
  const auto pid = spawn(command);
  output->writer.reset(), complaints->writer.reset();
  if (!pid) return ended(TransferEnd::kRefused, pid.error().message());

  HelperRun run(context, *pid, std::move(output->reader), std::move(complaints->reader));
  const std::string refusal = run.deliver();
  const int status = run.reap(!refusal.empty());
  TransferResult result;
  result.written = run.written();
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
  if (const std::string words = run.last_words(); result.end != TransferEnd::kComplete && !words.empty())
    result.detail = "last words: \"" + words + "\"";
  return result;
}

}  // namespace dewar
