#include "isolation/launch/drain.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>

#include "base/files.h"
#include "isolation/launch/log_pump.h"

namespace dewar {
namespace {

/// What a pipe can have held that nobody reads any more.
constexpr std::uint64_t kPipeBytes = 1u << 20;

/// What a pump that was killed can have read of a stream, or known to be missing, that it told nobody of. What a spool
/// had no room for and had not told is not among it: nobody knows how much that was.
std::uint64_t most_missing(const DrainRecipe& recipe, bool in_gap) {
  std::uint64_t bytes = LogPump::kInHand;
  if (!recipe.has_pipes) bytes += kPipeBytes;
  if (in_gap) bytes += IndexFile::kUntold;
  if (recipe.logs.policy.when_full == WhenFull::kDrop) bytes += Spool::kBytes;
  return bytes;
}

}  // namespace

int drain_for_dead(const DrainRecipe& recipe) {
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE}) ::signal(number, SIG_IGN);
  const auto only_one = open_file(recipe.status_file, O_RDONLY | O_NOFOLLOW);
  if (only_one) retry_eintr([&] { return ::flock(only_one->get(), LOCK_EX); });
  std::string subject;
  auto log = RunLog::open(recipe.logs, LogFile::Begin::kGoOn, subject);
  if (!log) {
    (void)write_all(2, "dewar-launch: " + log.error().message() + ": " + subject + "\n", "stderr");
    return 1;
  }
  std::vector<LogStream> streams;
  for (const int number : {0, 1}) {
    LogStream stream;
    stream.id = static_cast<OutputStream>(number + 1);
    if (recipe.has_pipes) stream.pipe.reset(kReadEnds[number]);
    const std::uint64_t most = most_missing(recipe, (*log)->index().ends_with_gap(stream.id));
    (*log)->file(stream.id).miss(most, GapReason::kLostPump, wall_time());
    streams.push_back(std::move(stream));
  }
  LogPump pump(std::move(streams), std::move(log).take());
  pump.drain();
  if (const std::string losses = pump.losses(); !losses.empty())
    (void)write_all(2, "dewar-launch: " + losses + "\n", "stderr");
  return 0;
}

}  // namespace dewar
