#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>

#include "base/result.h"

namespace dewar {

/// Bytes on their way from one thread to another, in chunks of a fixed size that are used again and again: memory is
/// bounded, nothing is copied, and who is ahead waits. One producer, one consumer.
class Ring {
 public:
  static constexpr std::size_t kChunk = 256u << 10;
  static constexpr std::size_t kChunks = 8;

  Ring() : bytes_(std::make_unique<char[]>(kChunk * kChunks)) {}

  /// Producer: the free room of the chunk in work, never empty; waits for one. Empty once the consumer has stopped.
  std::span<char> space();
  /// Producer: the first `count` bytes of space() are filled. The consumer sees a chunk when it is full, or at the end.
  void fill(std::size_t count);
  /// Producer: no more bytes, or none because of an error. The first call counts.
  void end() { end_with(std::nullopt); }
  void fail(Error error) { end_with(std::move(error)); }

  /// Consumer: the next chunk, valid until the next call; empty at the end. All but the last are kChunk bytes.
  /// Errors: the producer's, after what came before.
  Result<std::string_view> next();
  /// Consumer, from any of its threads: wants nothing more; who waits in next() sees the end.
  void stop();

 private:
  void end_with(std::optional<Error> error);
  void hand_over();

  std::unique_ptr<char[]> bytes_;
  std::size_t filled_ = 0;                   // producer's: of the chunk in work
  bool holds_ = false;                       // consumer's: it looks at a chunk
  std::size_t sizes_[kChunks] = {};          // of the chunks handed over
  std::size_t produced_ = 0, consumed_ = 0;  // chunks, ever
  bool ended_ = false, stopped_ = false;
  std::optional<Error> error_;
  std::mutex mutex_;
  std::condition_variable changed_;
};

}  // namespace dewar
