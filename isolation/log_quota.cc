#include "isolation/log_quota.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <utility>

#include "base/files.h"
#include "base/units.h"

namespace dewar {

/// The file's content. The machine's byte order: it never leaves the host.
struct LogQuota::Counters {
  std::atomic<std::uint64_t> used, dropped;
};

namespace {

static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "counters are shared by processes");

constexpr std::size_t kSize = 16;

}  // namespace

Result<LogQuota> LogQuota::open(const std::string& counter, std::uint64_t bytes) {
  static_assert(sizeof(Counters) == kSize);
  LogQuota quota;
  quota.limit_ = bytes;
  const UniqueFd file = DEWAR_TRY(open_file(counter, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0600));
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return fail_errno("open " + counter);
  if (!S_ISREG(info.st_mode)) return fail(std::errc::invalid_argument, "open " + counter);
  // Whoever comes first makes it as long as it has to be; on one that is so long already this changes nothing. Really
  // allocated, for a store through a mapping that finds no room on the disk is a SIGBUS.
  const int error = ::posix_fallocate(file.get(), 0, kSize);
  if (error != 0) return fail({error, std::generic_category()}, "make room for " + counter);
  void* memory = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (memory == MAP_FAILED) return fail_errno("map " + counter);
  quota.counters_ = static_cast<Counters*>(memory);
  return quota;
}

LogQuota::LogQuota(LogQuota&& other) noexcept
    : counters_(std::exchange(other.counters_, nullptr)),
      limit_(other.limit_),
      outer_(std::move(other.outer_)),
      outer_is_short_(other.outer_is_short_) {}

LogQuota& LogQuota::operator=(LogQuota&& other) noexcept {
  std::swap(counters_, other.counters_);
  std::swap(limit_, other.limit_);
  std::swap(outer_, other.outer_);
  std::swap(outer_is_short_, other.outer_is_short_);
  return *this;
}

LogQuota::~LogQuota() {
  if (counters_ != nullptr) ::munmap(counters_, kSize);
}

void LogQuota::within(LogQuota outer) { outer_ = std::make_unique<LogQuota>(std::move(outer)); }

std::uint64_t LogQuota::take(std::uint64_t bytes) {
  std::uint64_t room = bytes;
  if (counters_ != nullptr) {
    std::uint64_t used = counters_->used.load();
    do room = used < limit_ ? std::min(bytes, limit_ - used) : 0;
    while (!counters_->used.compare_exchange_weak(used, used + room));
  }
  if (!outer_) return room;
  const std::uint64_t there = outer_->take(room);
  outer_is_short_ = there < room;
  if (counters_ != nullptr) counters_->used.fetch_sub(room - there);
  return there;
}

std::string LogQuota::problem() const {
  if (outer_is_short_) return "the quota of " + format_bytes(outer_->limit_) + " for the logs of the work dir is full";
  return "the task's quota of " + format_bytes(limit_) + " for output is full";
}

void LogQuota::charge(std::uint64_t bytes) {
  if (counters_ != nullptr) counters_->used.fetch_add(bytes);
  if (outer_) outer_->charge(bytes);
}

void LogQuota::drop(std::uint64_t bytes) {
  if (counters_ != nullptr) counters_->dropped.fetch_add(bytes);
  if (outer_ && outer_is_short_) outer_->drop(bytes);
}

void LogQuota::give_back(std::uint64_t bytes) {
  if (outer_) outer_->give_back(bytes);
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
