#include "isolation/launch/log_pump.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <new>
#include <system_error>

#include "base/files.h"

namespace dewar {
namespace {

constexpr std::size_t kBufferSize = 256u << 10;
constexpr std::size_t kShortRead = 64u << 10;  // after less than this, let the writer get ahead
constexpr int kBatchMs = 1, kIdleMs = 1000, kSilenceMs = 1000, kConsoleMs = 1000;
constexpr int kPipeSize = 1 << 20;

char* map_buffer() {
  void* memory = ::mmap(nullptr, kBufferSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return static_cast<char*>(memory);
}

bool wait_for(int fd, short events, int timeout_ms) {
  pollfd watched{fd, events, 0};
  return retry_eintr([&] { return ::poll(&watched, 1, timeout_ms); }) > 0;
}

/// Writes to a terminal or whatever our caller gave us. It may be stuck or gone, which must not stop the attempt: after
/// a second without progress, bytes are dropped as long as nothing moves.
void write_console(LogStream& stream, std::string_view bytes) {
  while (!bytes.empty()) {
    // poll(2) says that PIPE_BUF bytes have room, so a write of that much does not block.
    const int patience = stream.console_lost == 0 ? kConsoleMs : 0;
    const std::size_t part = std::min<std::size_t>(bytes.size(), PIPE_BUF);
    const ssize_t n = wait_for(stream.console, POLLOUT, patience)
                          ? retry_eintr([&] { return ::write(stream.console, bytes.data(), part); })
                          : -1;
    if (n <= 0) {
      stream.console_lost += bytes.size();
      return;
    }
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

void say(std::string& words, const std::string& more) { words += (words.empty() ? "" : "; ") + more; }

}  // namespace

void LogPump::Unmap::operator()(char* memory) const { ::munmap(memory, kBufferSize); }

LogPump::LogPump(std::vector<LogStream> streams) : streams_(std::move(streams)), buffer_(map_buffer()) {}

std::size_t LogPump::move_some(LogStream& stream) {
  const ssize_t n = retry_eintr([&] { return ::read(stream.pipe.get(), buffer_.get(), kBufferSize); });
  if (n <= 0) {
    stream.pipe.reset();
    return 0;
  }
  const std::string_view bytes(buffer_.get(), static_cast<std::size_t>(n));
  if (stream.file) stream.file->write(bytes);
  if (stream.console >= 0) write_console(stream, bytes);
  return bytes.size();
}

void LogPump::run_until_ended(int pidfd) {
  std::vector<pollfd> watched(1 + streams_.size());
  for (bool used = false;;) {
    watched[0] = {pidfd, POLLIN, 0};
    for (std::size_t i = 0; i < streams_.size(); ++i) watched[i + 1] = {streams_[i].pipe.get(), POLLIN, 0};
    const int ready = retry_eintr([&] { return ::poll(watched.data(), watched.size(), used ? kIdleMs : -1); });
    if (ready < 0 || watched[0].revents != 0) return;
    if (ready == 0) {
      ::madvise(buffer_.get(), kBufferSize, MADV_DONTNEED);
      used = false;
      continue;
    }
    used = true;
    std::size_t most = 0;
    for (std::size_t i = 0; i < streams_.size(); ++i) {
      if (watched[i + 1].revents != 0) most = std::max(most, move_some(streams_[i]));
    }
    // To meet each line of a writer of short lines costs more than to move them.
    if (most < kShortRead && wait_for(pidfd, POLLIN, kBatchMs)) return;
  }
}

void LogPump::drain() {
  for (LogStream& stream : streams_) {
    // Everything that our attempt wrote fits the pipe; more comes from somebody to whom it passed the descriptor.
    auto rest = static_cast<std::int64_t>(stream.pipe ? ::fcntl(stream.pipe.get(), F_GETPIPE_SZ) : 0);
    while (stream.pipe && rest >= 0 && wait_for(stream.pipe.get(), POLLIN, kSilenceMs)) {
      rest -= static_cast<std::int64_t>(move_some(stream));
    }
    if (stream.pipe) say(held_open_, stream.name + " is held open by a process outside of the attempt");
    stream.pipe.reset();
  }
}

std::string LogPump::losses() const {
  std::string words = held_open_;
  for (const LogStream& stream : streams_) {
    if (stream.file && stream.file->error() != 0) {
      const std::string what =
          stream.file->lost() > 0 ? std::to_string(stream.file->lost()) + " bytes lost" : std::string("not rotated");
      say(words, stream.name + ": " + what + ": " + stream.file->problem());
    }
    if (stream.console_lost > 0)
      say(words, stream.name + ": " + std::to_string(stream.console_lost) + " bytes did not reach the console");
  }
  return words;
}

bool make_log_pipe(UniqueFd& reader, UniqueFd& writer) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return false;
  reader.reset(ends[0]);
  writer.reset(ends[1]);
  ::fcntl(ends[0], F_SETPIPE_SZ, kPipeSize);  // refused beyond the user's quota: then it stays at 64 KiB
  return true;
}

}  // namespace dewar
