#include "isolation/log_quota.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <utility>

#include "base/files.h"

namespace dewar {

/// The file's content. The machine's byte order: it never leaves the host.
struct LogQuota::Counters {
  std::atomic<std::uint64_t> used, dropped;
  char woken;  ///< written to by write(2) when `dropped` leaves zero
};

namespace {

static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "counters are shared by processes");

constexpr std::size_t kSize = 24;
constexpr off_t kWoken = 16;

}  // namespace

Result<LogQuota> LogQuota::open(const std::string& counter, std::uint64_t bytes) {
  static_assert(sizeof(Counters) == kSize && offsetof(Counters, woken) == kWoken);
  LogQuota quota;
  quota.limit_ = bytes;
  quota.file_ = DEWAR_TRY(open_file(counter, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0600));
  struct stat info {};
  if (::fstat(quota.file_.get(), &info) != 0) return fail_errno("open " + counter);
  if (!S_ISREG(info.st_mode)) return fail(std::errc::invalid_argument, "open " + counter);
  // Whoever comes first makes it as long as it has to be; on one that is so long already this changes nothing. Really
  // allocated, for a store through a mapping that finds no room on the disk is a SIGBUS.
  const int error = ::posix_fallocate(quota.file_.get(), 0, kSize);
  if (error != 0) return fail({error, std::generic_category()}, "make room for " + counter);
  void* memory = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, quota.file_.get(), 0);
  if (memory == MAP_FAILED) return fail_errno("map " + counter);
  quota.counters_ = static_cast<Counters*>(memory);
  return quota;
}

LogQuota::LogQuota(LogQuota&& other) noexcept
    : file_(std::move(other.file_)), counters_(std::exchange(other.counters_, nullptr)), limit_(other.limit_) {}

LogQuota& LogQuota::operator=(LogQuota&& other) noexcept {
  std::swap(file_, other.file_);
  std::swap(counters_, other.counters_);
  std::swap(limit_, other.limit_);
  return *this;
}

LogQuota::~LogQuota() {
  if (counters_ != nullptr) ::munmap(counters_, kSize);
}

std::uint64_t LogQuota::take(std::uint64_t bytes) {
  if (counters_ == nullptr) return bytes;
  std::uint64_t used = counters_->used.load(), room = 0;
  do room = used < limit_ ? std::min(bytes, limit_ - used) : 0;
  while (!counters_->used.compare_exchange_weak(used, used + room));
  return room;
}

void LogQuota::drop(std::uint64_t bytes) {
  if (counters_ != nullptr && counters_->dropped.fetch_add(bytes) == 0) (void)!::pwrite(file_.get(), "!", 1, kWoken);
}

void LogQuota::give_back(std::uint64_t bytes) {
  if (counters_ == nullptr) return;
  std::uint64_t used = counters_->used.load();
  while (!counters_->used.compare_exchange_weak(used, used - std::min(used, bytes))) {
  }
}

Result<LogUse> read_log_use(const std::string& counter) {
  auto bytes = read_file(counter, kSize);
  if (!bytes && bytes.error().code == std::errc::no_such_file_or_directory) return LogUse{};
  const std::string text = DEWAR_TRY(std::move(bytes));
  LogUse use;
  if (text.size() < kSize) return use;
  std::memcpy(&use.used, text.data(), 8);
  std::memcpy(&use.dropped, text.data() + 8, 8);
  return use;
}

}  // namespace dewar
