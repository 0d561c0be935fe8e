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
    (*log)->file(stream.id).miss(LogPump::kInHand + (recipe.has_pipes ? 0 : kPipeBytes), GapReason::kLostPump,
                                 wall_time());
    streams.push_back(std::move(stream));
  }
  LogPump(std::move(streams), std::move(log).take()).drain();
  return 0;
}

}  // namespace dewar
