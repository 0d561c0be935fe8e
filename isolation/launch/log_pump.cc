#include "isolation/launch/log_pump.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <new>

#include "base/files.h"
#include "base/units.h"

namespace dewar {
namespace {

constexpr std::size_t kBufferSize = LogPump::kInHand;
constexpr std::size_t kShortRead = 64u << 10;  // after less than this, let the writer get ahead
constexpr int kMergeMs = 1, kIdleMs = 1000, kSilenceMs = 1000, kConsoleMs = 1000;
constexpr std::int64_t kLookNs = 1'000'000'000;
constexpr std::size_t kPipeSize = 1u << 20;
constexpr Duration kLongestPause{1'000'000}, kShortestPause{50'000};

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

/// As many lines of `bytes` as have room, or, with room for half of `rate`, a part of one that is longer.
std::string_view whole_lines(std::string_view bytes, std::uint64_t room, std::uint64_t rate) {
  if (bytes.size() <= room) return bytes;
  const std::size_t line_end = bytes.substr(0, room).rfind('\n');
  if (line_end != std::string_view::npos) return bytes.substr(0, line_end + 1);
  return bytes.substr(0, room >= rate / 2 ? room : 0);
}

Time now() { return SystemClock().now(); }

}  // namespace

void LogPump::Unmap::operator()(char* memory) const { ::munmap(memory, kBufferSize); }

LogPump::LogPump(std::vector<LogStream> streams, std::unique_ptr<RunLog> log,
                 std::function<void(const std::string&)> tell)
    : streams_(std::move(streams)),
      log_(std::move(log)),
      tell_(std::move(tell)),
      rate_(log_ ? log_->policy().rate_limit : 0),
      buffer_(map_buffer()) {
  if (!log_ || log_->policy().when_full != WhenFull::kDrop || streams_.size() != 2) return;
  spool_.emplace(std::array<UniqueFd, 2>{std::move(streams_[0].pipe), std::move(streams_[1].pipe)});
  if (spool_->has_begun()) return;
  for (const int stream : {0, 1}) streams_[stream].pipe = spool_->take_pipe(stream);
  spool_.reset();  // to wait is better than to read nothing
}

std::size_t LogPump::move_some(LogStream& stream, bool limited) {
  const bool blocks = limited && rate_.limits() && log_->policy().when_full == WhenFull::kBlock;
  const std::size_t most = blocks ? std::min<std::uint64_t>(kBufferSize, rate_.left(now())) : kBufferSize;
  if (most == 0) return 0;
  const ssize_t n = retry_eintr([&] { return ::read(stream.pipe.get(), buffer_.get(), most); });
  if (n <= 0) {
    stream.pipe.reset();
    return 0;
  }
  const std::string_view bytes(buffer_.get(), static_cast<std::size_t>(n));
  if (blocks) rate_.take(bytes.size());
  take(stream, bytes, limited && !blocks);
  return bytes.size();
}

/// All that the spool has by now.
std::size_t LogPump::move_spooled() {
  spool_->clear();
  std::size_t moved = 0;
  for (Spool::Piece piece = spool_->front(); piece.dropped + piece.bytes.size() > 0; piece = spool_->front()) {
    LogStream& stream = streams_[piece.stream == OutputStream::kStdout ? 0 : 1];
    if (piece.dropped > 0) log_->file(stream.id).miss(piece.dropped, GapReason::kDropped, wall_time());
    not_kept_up_ += piece.dropped;
    take(stream, piece.bytes, true);
    moved += piece.bytes.size();
    spool_->pop();
    if (moved > kBufferSize) {
      spool_->look_again();  // our attempt may have ended meanwhile
      break;
    }
  }
  return moved;
}

void LogPump::take(LogStream& stream, std::string_view bytes, bool limited) {
  keep(stream, bytes, limited);
  if (log_ && log_->file(stream.id).take_rotated()) log_->compressor().start();
  if (log_ && log_->journal() != nullptr) log_->journal()->take(stream.id, bytes);
  if (stream.console >= 0) write_console(stream, bytes);
}

void LogPump::keep(LogStream& stream, std::string_view bytes, bool limited) {
  if (!log_) return;
  const std::int64_t time = wall_time();
  if (time - looked_ > kLookNs || time < looked_) {
    if (looked_ != 0) look_after();
    looked_ = time;
  }
  LogFile& file = log_->file(stream.id);
  if (!limited || !rate_.limits()) return file.write(bytes, time);
  std::uint64_t dropped = 0;
  std::uint64_t room = rate_.left(now());
  if (stream.cut && room > 0) {
    const std::size_t line_end = bytes.find('\n');
    dropped = line_end == std::string_view::npos ? bytes.size() : line_end + 1;
    stream.cut = line_end == std::string_view::npos;
    file.miss(dropped, GapReason::kRate, time);
    bytes.remove_prefix(dropped);
  }
  // A line whose beginning was kept is kept to its end, on credit if need be.
  const std::size_t line_end = stream.open ? bytes.find('\n') : std::string_view::npos;
  if (line_end < kShortRead) room = std::max<std::uint64_t>(room, line_end + 1);
  const std::string_view kept = whole_lines(bytes, room, log_->policy().rate_limit);
  rate_.take(kept.size());
  file.write(kept, time);
  over_rate_ += dropped + (bytes.size() - kept.size());
  if (!kept.empty()) stream.open = kept.back() != '\n';
  if (kept.size() == bytes.size()) return;
  stream.open = false;
  stream.cut = bytes.back() != '\n';
  // Nothing more until there is room again for some lines: a gap here and there says more than one after each line.
  rate_.take(rate_.left(now()));
  file.miss(bytes.size() - kept.size(), GapReason::kRate, time);
}

/// Has the process written as much as it may for now, so that it has to wait?
bool LogPump::is_held_back() {
  return rate_.limits() && log_->policy().when_full == WhenFull::kBlock && rate_.left(now()) == 0;
}

/// How long poll(2) may wait for output, in ms.
int LogPump::patience() const {
  if (log_ && log_->index().pending()) return kMergeMs;
  return busy_ ? kIdleMs : -1;
}

void LogPump::run_until_ended(int pidfd) {
  std::vector<pollfd> watched(2 + (spool_ ? 1 : streams_.size()));
  for (;;) {
    const bool held_back = is_held_back();
    watched[0] = {pidfd, POLLIN, 0};
    watched[1] = {log_ ? log_->compressor().pidfd() : -1, POLLIN, 0};
    for (std::size_t i = 2; i < watched.size(); ++i)
      watched[i] = {held_back ? -1 : spool_ ? spool_->fd() : streams_[i - 2].pipe.get(), POLLIN, 0};
    const int wait = held_back ? static_cast<int>(rate_.wait() / std::chrono::milliseconds(1)) + 1 : patience();
    const int ready = retry_eintr([&] { return ::poll(watched.data(), watched.size(), wait); });
    if (ready < 0 || watched[0].revents != 0) return;
    if (ready == 0) {
      have_rest();
      continue;
    }
    if (watched[1].revents != 0) log_->compressor().ended();
    // To meet each line of a writer of short lines costs more than to move them.
    if (move_ready(watched) < kShortRead) pause(pidfd);
  }
}

/// One read of each stream that has something; returns how long the longest was.
std::size_t LogPump::move_ready(const std::vector<pollfd>& watched) {
  std::size_t most = 0;
  for (std::size_t i = 2; i < watched.size(); ++i) {
    if (watched[i].revents == 0) continue;
    const std::size_t moved = spool_ ? move_spooled() : move_some(streams_[i - 2], true);
    most = std::max(most, moved);
    since_pause_ += moved;
  }
  busy_ = busy_ || most > 0;
  return most;
}

/// Nothing has come while we waited.
void LogPump::have_rest() {
  if (log_ && log_->index().pending()) return log_->index().flush();
  if (is_held_back() || !busy_) return;
  ::madvise(buffer_.get(), kBufferSize, MADV_DONTNEED);
  busy_ = false;
  look_after();
}

/// Waits for as long as the writer may take to fill half of the pipe, at most 1 ms.
void LogPump::pause(int pidfd) {
  if (since_pause_ > kPipeSize / 2) pause_ = std::max(kShortestPause, pause_ / 2);
  if (since_pause_ < kPipeSize / 8) pause_ = std::min(kLongestPause, pause_ * 2);
  since_pause_ = 0;
  pollfd watched{pidfd, POLLIN, 0};
  const timespec span{0, pause_.count()};
  ::ppoll(&watched, 1, &span, nullptr);
}

void LogPump::look_after() {
  if (!log_) return;
  log_->look_after();
  const std::size_t reasons = log_->reasons() + (over_rate_ > 0 ? 1 : 0) + (not_kept_up_ > 0 ? 1 : 0);
  if (reasons > told_ && tell_) tell_(losses());
  told_ = std::max(told_, reasons);
}

void LogPump::drain_spool() {
  std::int64_t rest = 4 * kPipeSize;  // both pipes, and what the spool holds
  while (!spool_->has_ended() && rest >= 0 && wait_for(spool_->fd(), POLLIN, kSilenceMs))
    rest -= static_cast<std::int64_t>(move_spooled());
  if (!spool_->has_ended()) say(held_open_, "its output is held open by a process outside of the attempt");
  spool_.reset();
}

void LogPump::drain() {
  if (spool_) drain_spool();
  for (LogStream& stream : streams_) {
    // Everything that our attempt wrote fits the pipe; more comes from somebody to whom it passed the descriptor.
    auto rest = static_cast<std::int64_t>(stream.pipe ? ::fcntl(stream.pipe.get(), F_GETPIPE_SZ) : 0);
    while (stream.pipe && rest >= 0 && wait_for(stream.pipe.get(), POLLIN, kSilenceMs)) {
      rest -= static_cast<std::int64_t>(move_some(stream, false));
    }
    if (stream.pipe)
      say(held_open_, std::string(file_name(stream.id)) + " is held open by a process outside of the attempt");
    stream.pipe.reset();
    if (log_ && log_->journal() != nullptr) log_->journal()->end(stream.id);
    if (log_) log_->index().end(stream.id, log_->file(stream.id).position(), wall_time());
  }
  if (log_) log_->compressor().leave();
}

std::string LogPump::losses() const {
  std::string words = held_open_;
  if (log_ && log_->reasons() > 0) say(words, log_->losses());
  if (over_rate_ > 0)
    say(words, format_bytes(over_rate_) + " of output dropped: rate limit of " +
                   format_bytes(log_->policy().rate_limit) + "/s");
  if (not_kept_up_ > 0) say(words, format_bytes(not_kept_up_) + " of output dropped: the disk did not keep up");
  for (const LogStream& stream : streams_) {
    if (stream.console_lost > 0)
      say(words, std::string(file_name(stream.id)) + ": " + std::to_string(stream.console_lost) +
                     " bytes did not reach the console");
  }
  return words;
}

}  // namespace dewar
