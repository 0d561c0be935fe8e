#include "thermos/runner/log_keeper.h"

#include "base/files.h"
#include "isolation/log_collector.h"

namespace dewar {
namespace {

constexpr auto kPeriod = std::chrono::seconds(10);

}  // namespace

LogKeeper::LogKeeper(const WatchContext& context) : context_(context) {
  collect();
  wait();
}

LogKeeper::~LogKeeper() {
  context_.loop.cancel(timer_);
  collect();
}

void LogKeeper::run_ended(const std::string&, const Usage&) { collect(); }

void LogKeeper::output_lost() { collect(); }

void LogKeeper::wait() {
  timer_ = context_.loop.at(context_.clock.now() + kPeriod, [this] { collect(), wait(); });
}

void LogKeeper::collect() {
  const auto gone = collect_logs(parent_of(host_log_counter(context_.spec)), context_.spec.log_quota);
  if (!gone || gone->empty()) return;
  context_.tell({0, "logs", "", 0, collected_words(gone->size(), context_.spec.log_quota)});
}

}  // namespace dewar
