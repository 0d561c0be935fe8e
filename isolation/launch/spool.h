#pragma once

#include <pthread.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "base/unique_fd.h"
#include "isolation/log_index.h"

namespace dewar {

/// Between pipes and disk for a process that shall not wait for either: a thread reads the pipes into 1 MiB of memory
/// and drops, and counts, what finds no room there because whoever writes to the disk does not keep up.
class Spool {
 public:
  /// As much as it can have read and nobody taken.
  static constexpr std::size_t kBytes = 1u << 20;

  /// What was read at once, after so many bytes of the stream were dropped.
  struct Piece {
    OutputStream stream = OutputStream::kStdout;
    std::uint64_t dropped = 0;
    std::string_view bytes;
  };

  /// Of stdout and stderr; an empty one has ended.
  explicit Spool(std::array<UniqueFd, 2> pipes);
  /// Stops reading, whatever is left.
  ~Spool();
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;

  /// Where no thread can be had, the pipes come back.
  bool has_begun() const { return started_; }
  UniqueFd take_pipe(int stream) { return std::move(pipes_[stream]); }
  /// Readable while there may be something to take, or all has ended. clear() it, then look.
  int fd() const { return filled_.get(); }
  void clear();
  /// Some are left: fd() shall be readable.
  void look_again();
  /// The oldest piece, until pop(); no bytes and none dropped: there is none.
  Piece front() const;
  void pop();
  /// Every pipe has ended, and all is taken.
  bool has_ended() const;

 private:
  static constexpr std::size_t kPieces = 1024, kLargest = 64u << 10;
  struct Slot {
    OutputStream stream;
    std::uint64_t dropped;
    std::size_t begin, size;
  };
  /// Both are rings; positions in them only grow. Memory is touched when it is used.
  struct Memory {
    std::array<Slot, kPieces> slots;
    std::array<char, kBytes> bytes;
  };
  static void* read_pipes(void* self);
  void read();
  bool fill(int stream);
  bool add(int stream, std::size_t size);

  std::array<UniqueFd, 2> pipes_;
  UniqueFd filled_, stop_;
  std::unique_ptr<Memory> memory_;
  std::array<std::uint64_t, 2> dropped_{};      ///< the thread's: since its last piece
  std::size_t filled_bytes_ = 0;                ///< the thread's
  std::atomic<std::size_t> first_{0}, end_{0};  ///< pieces that were taken, that were filled
  std::atomic<std::size_t> taken_bytes_{0};
  std::atomic<bool> done_{false};
  pthread_t thread_{};
  bool started_ = false;
};

}  // namespace dewar
