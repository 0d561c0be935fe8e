#include "thermos/runner/output_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include "base/units.h"
#include "isolation/log_quota.h"
#include "thermos/events.h"
#include "thermos/runner/attempt.h"

namespace dewar {
namespace {

constexpr const char* kKind = "output";

}  // namespace

OutputWatch::OutputWatch(const WatchContext& context) : context_(context) {
  const std::string path = log_counter(context_.spec);
  const auto counter = LogQuota::open(path, context_.spec.sandbox.disk.logs);  // so that there is something to watch
  for (const EventRecord& event : read_events(context_.spec.run_folder)) told_ = told_ || event.kind == kKind;
  inotify_.reset(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (counter && inotify_ && ::inotify_add_watch(inotify_.get(), path.c_str(), IN_MODIFY) >= 0)
    (void)context_.loop.watch(inotify_.get(), [this] { look(); });
  look();
}

OutputWatch::~OutputWatch() {
  if (inotify_) context_.loop.unwatch(inotify_.get());
  look();  // where nothing could be watched, the end is the time to tell
}

void OutputWatch::look() {
  char events[1024];
  while (inotify_ && ::read(inotify_.get(), events, sizeof events) > 0) {
  }
  const auto use = read_log_use(log_counter(context_.spec));
  if (told_ || !use || use->dropped == 0) return;
  told_ = true;
  context_.tell({0, kKind, "", 0,
                 "the quota of " + format_bytes(context_.spec.sandbox.disk.logs) +
                     " for output is full: what the task writes from now on is dropped and counted"});
}

}  // namespace dewar
