#include "thermos/runner/fetch_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "base/files.h"
#include "base/units.h"
#include "fetcher/request.h"
#include "thermos/history.h"

namespace dewar {
namespace {

std::optional<FetchStatus> status_of(const RunnerSpec& spec, const std::string& process) {
  const auto bytes = read_file(fetch_file(spec.run_folder, process, "status"), 16u << 20);
  if (!bytes) return std::nullopt;
  auto status = decode_fetch_status(*bytes);
  if (!status) return std::nullopt;
  return std::move(status).take();
}

std::string summary(const FetchStatus& status) {
  std::uint64_t bytes = 0;
  std::size_t cached = 0;
  for (const FetchedItem& item : status.items) bytes += item.bytes, cached += item.from == "cache" ? 1 : 0;
  std::string words = std::to_string(status.items.size()) +
                      (status.items.size() == 1 ? " artifact, " : " artifacts, ") + format_bytes(bytes);
  return cached == 0 ? words : words + ", " + std::to_string(cached) + " from the cache";
}

}  // namespace

FetchWatch::FetchWatch(const WatchContext& context) : context_(context) {
  changes_.reset(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  const std::string folder = context.spec.run_folder + "/fetch";
  if (!changes_ || ::inotify_add_watch(changes_.get(), folder.c_str(), IN_MOVED_TO) < 0) return;
  (void)context.loop.watch(changes_.get(), [this] {
    alignas(inotify_event) char block[8192];
    std::string last;
    for (ssize_t size = 0; (size = ::read(changes_.get(), block, sizeof block)) > 0;) {
      for (char* at = block; at < block + size;) {
        const auto* event = reinterpret_cast<const inotify_event*>(at);
        at += sizeof(inotify_event) + event->len;
        const std::string_view name(event->len > 0 ? event->name : "");
        constexpr std::string_view kEnding = ".status";
        if (!name.ends_with(kEnding)) continue;
        const std::string process(name.substr(0, name.size() - kEnding.size()));
        if (process != last) look(process);
        last = process;
      }
    }
  });
}

FetchWatch::~FetchWatch() {
  if (changes_) context_.loop.unwatch(changes_.get());
}

void FetchWatch::look(const std::string& process) {
  const auto status = status_of(context_.spec, process);
  if (!status) return;
  const auto told = told_.find(process);
  if (told != told_.end() && told->second == status->run) return;
  EventRecord event;
  event.process = process;
  event.run = status->run;
  if (status->stage == FetchStage::kDone) {
    event.kind = "fetch";
    event.words = summary(*status);
  } else {
    event.kind = kProgressEvent;
    event.words = describe_progress(*status);
  }
  if (status->stage >= FetchStage::kDone) told_[process] = status->run;
  if (!event.words.empty()) context_.tell(std::move(event));
}

std::string fetch_failure(const RunnerSpec& spec, const std::string& process, int run) {
  const auto status = status_of(spec, process);
  return status && status->run == run && status->stage == FetchStage::kFailed ? status->words : "";
}

}  // namespace dewar
