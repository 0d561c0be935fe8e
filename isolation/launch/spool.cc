#include "isolation/launch/spool.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/files.h"

namespace dewar {
namespace {

constexpr std::size_t kShortRead = 16u << 10;
constexpr int kPauseMs = 1;

void wake(const UniqueFd& fd) {
  const std::uint64_t one = 1;
  (void)!::write(fd.get(), &one, sizeof one);
}

}  // namespace

Spool::Spool(std::array<UniqueFd, 2> pipes)
    : pipes_(std::move(pipes)),
      filled_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      memory_(new Memory) {
  started_ = ::pthread_create(&thread_, nullptr, read_pipes, this) == 0;
}

Spool::~Spool() {
  wake(stop_);
  if (started_) ::pthread_join(thread_, nullptr);
}

void Spool::clear() {
  std::uint64_t count = 0;
  (void)!::read(filled_.get(), &count, sizeof count);
  if (done_) wake(filled_);
}

void Spool::look_again() { wake(filled_); }

Spool::Piece Spool::front() const {
  const std::size_t first = first_.load(std::memory_order_relaxed);
  if (first == end_.load(std::memory_order_acquire)) return {};
  const Slot& slot = memory_->slots[first % kPieces];
  return {slot.stream, slot.dropped, {memory_->bytes.data() + slot.begin % kBytes, slot.size}};
}

void Spool::pop() {
  const Slot& slot = memory_->slots[first_ % kPieces];
  taken_bytes_.store(slot.begin + slot.size, std::memory_order_release);
  first_.fetch_add(1, std::memory_order_release);
}

bool Spool::has_ended() const { return done_ && first_ == end_; }

void* Spool::read_pipes(void* self) {
  static_cast<Spool*>(self)->read();
  return nullptr;
}

void Spool::read() {
  while (pipes_[0] || pipes_[1]) {
    pollfd watched[] = {{pipes_[0].get(), POLLIN, 0}, {pipes_[1].get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    if (retry_eintr([&] { return ::poll(watched, 3, -1); }) < 0 || watched[2].revents != 0) break;
    bool much = false;
    for (const int stream : {0, 1})
      if (watched[stream].revents != 0) much = fill(stream) || much;
    if (!much) ::poll(watched + 2, 1, kPauseMs);
  }
  // What was dropped last has no piece behind it that could tell.
  for (const int stream : {0, 1}) {
    pollfd stop{stop_.get(), POLLIN, 0};
    while (dropped_[stream] > 0 && !add(stream, 0) && ::poll(&stop, 1, kPauseMs) == 0) {
    }
  }
  done_ = true;
  wake(filled_);
}

/// One read. Was it a long one?
bool Spool::fill(int stream) {
  const std::size_t used = filled_bytes_ - taken_bytes_.load(std::memory_order_acquire);
  const std::size_t at = filled_bytes_ % kBytes;
  std::size_t room = std::min({kBytes - used, kBytes - at, kLargest});
  if (end_ - first_.load(std::memory_order_acquire) == kPieces) room = 0;
  char scratch[16 << 10];
  char* where = room > 0 ? memory_->bytes.data() + at : scratch;
  const ssize_t n = retry_eintr([&] { return ::read(pipes_[stream].get(), where, room > 0 ? room : sizeof scratch); });
  if (n <= 0) {
    pipes_[stream].reset();
    return true;
  }
  const auto size = static_cast<std::size_t>(n);
  if (room == 0) {
    dropped_[stream] += size;
  } else {
    add(stream, size);
  }
  return size >= kShortRead;
}

/// Hands over what was just read, and what was dropped before it. False: too many pieces wait already.
bool Spool::add(int stream, std::size_t size) {
  if (end_ - first_.load(std::memory_order_acquire) == kPieces) return false;
  memory_->slots[end_ % kPieces] = {static_cast<OutputStream>(stream + 1), std::exchange(dropped_[stream], 0),
                                    filled_bytes_, size};
  filled_bytes_ += size;
  end_.fetch_add(1, std::memory_order_release);
  wake(filled_);
  return true;
}

}  // namespace dewar
