#include "fetcher/extract/ring.h"

namespace dewar {

std::span<char> Ring::space() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return stopped_ || produced_ - consumed_ < kChunks; });
  if (stopped_) return {};
  return {bytes_.get() + (produced_ % kChunks) * kChunk + filled_, kChunk - filled_};
}

void Ring::fill(std::size_t count) {
  filled_ += count;
  if (filled_ < kChunk) return;
  const std::lock_guard lock(mutex_);
  hand_over();
}

void Ring::hand_over() {
  sizes_[produced_ % kChunks] = filled_;
  filled_ = 0;
  ++produced_;
  changed_.notify_all();
}

void Ring::end_with(std::optional<Error> error) {
  const std::lock_guard lock(mutex_);
  if (ended_) return;
  if (filled_ > 0) hand_over();
  ended_ = true;
  error_ = std::move(error);
  changed_.notify_all();
}

Result<std::string_view> Ring::next() {
  std::unique_lock lock(mutex_);
  if (holds_) {
    ++consumed_;
    holds_ = false;
    changed_.notify_all();
  }
  changed_.wait(lock, [&] { return ended_ || stopped_ || produced_ > consumed_; });
  if (stopped_) return std::string_view();
  if (produced_ > consumed_) {
    holds_ = true;
    return std::string_view(bytes_.get() + (consumed_ % kChunks) * kChunk, sizes_[consumed_ % kChunks]);
  }
  if (error_) return Failure{*error_};
  return std::string_view();
}

void Ring::stop() {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  changed_.notify_all();
}

}  // namespace dewar
