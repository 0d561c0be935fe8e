#include "fetcher/reporter.h"

#include <algorithm>
#include <utility>

#include "base/files.h"

namespace dewar {
namespace {

constexpr auto kPause = std::chrono::milliseconds(250);

Time now() { return SystemClock().now(); }

}  // namespace

Reporter::Reporter(std::string file, std::int32_t run, std::size_t artifacts) : file_(std::move(file)) {
  status_.run = run;
  status_.count = static_cast<std::uint32_t>(artifacts);
}

void Reporter::write() {
  told_ = now();
  // Nobody's task depends on being looked at.
  if (!file_.empty()) (void)replace_file(file_, encode_fetch_status(status_), 0600);
}

void Reporter::begin(std::size_t index, const std::string& shown_uri) {
  status_.stage = FetchStage::kWaiting;
  status_.index = static_cast<std::uint32_t>(index);
  status_.uri = shown_uri;
  status_.bytes = status_.total = rate_bytes_ = 0;
  status_.rate = 0;
  status_.words.clear();
  rate_start_ = now();
  write();
}

void Reporter::wait_for(const std::string& words) {
  status_.words = words;
  write();
}

void Reporter::progress(std::uint64_t bytes, std::uint64_t total) {
  const Time at = now();
  status_.stage = FetchStage::kLoading;
  status_.words.clear();
  status_.bytes = bytes;
  status_.total = total;
  if (bytes < rate_bytes_) rate_bytes_ = bytes, rate_start_ = at;  // begun anew
  if (at - told_ < kPause) return;
  const double span = std::chrono::duration<double>(at - rate_start_).count();
  const double rate = span > 0 ? static_cast<double>(bytes - rate_bytes_) / span : 0;
  status_.rate = status_.rate == 0 ? rate : 0.7 * status_.rate + 0.3 * rate;
  rate_bytes_ = bytes;
  rate_start_ = at;
  write();
}

void Reporter::stage(FetchStage stage) {
  status_.stage = stage;
  write();
}

void Reporter::done(FetchedItem item) { status_.items.push_back(std::move(item)); }

void Reporter::finish(const std::string& error) {
  status_.stage = error.empty() ? FetchStage::kDone : FetchStage::kFailed;
  status_.words = error;
  write();
}

}  // namespace dewar
