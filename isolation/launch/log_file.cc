#include "isolation/launch/log_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/files.h"
#include "base/units.h"

namespace dewar {
namespace {

constexpr std::size_t kLatestCut = 64u << 10;  // how far a file may grow beyond its limit to end with a whole line

}  // namespace

Result<LogFile> LogFile::open(const UniqueFd& folder, std::string name, const LogPolicy& policy, const User& user,
                              LogQuota& quota) {
  LogFile log(folder.get(), std::move(name), policy, user, quota);
  DEWAR_TRY(log.reopen(policy.mode == LogMode::kRotate ? O_TRUNC : 0));
  return log;
}

Result<void> LogFile::reopen(int extra_flags) {
  // O_NONBLOCK: should a fifo lie there, opening it must not wait for a reader.
  const int flags = O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | extra_flags;
  UniqueFd file(::openat(folder_, name_.c_str(), flags, 0644));
  if (!file) return fail_errno("open " + name_);
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return fail_errno("open " + name_);
  if (!S_ISREG(info.st_mode)) return fail(std::errc::invalid_argument, "open " + name_);
  if (::fchown(file.get(), uid_, gid_) != 0 || ::fchmod(file.get(), 0644) != 0) return fail_errno("own " + name_);
  size_ = static_cast<std::uint64_t>(info.st_size);  // after O_TRUNC, if that was asked
  file_ = std::move(file);
  return {};
}

void LogFile::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t part = until_rotation(bytes);
    append(bytes.substr(0, part));
    bytes.remove_prefix(part);
    if (policy_.mode == LogMode::kRotate && size_ >= policy_.log_size) rotate();
  }
}

std::size_t LogFile::until_rotation(std::string_view bytes) const {
  if (policy_.mode == LogMode::kStandard) return bytes.size();
  const std::size_t room = policy_.log_size > size_ ? policy_.log_size - size_ : 1;
  if (bytes.size() <= room) return bytes.size();
  const std::size_t line_end = bytes.substr(0, room + kLatestCut).find('\n', room - 1);
  return line_end == std::string_view::npos ? room : line_end + 1;
}

void LogFile::append(std::string_view bytes) {
  std::size_t room = quota_->take(bytes.size());
  while (room < bytes.size() && remove_oldest()) room += quota_->take(bytes.size() - room);
  if (room < bytes.size()) {
    quota_->drop(bytes.size() - room);
    lose(bytes.size() - room, EDQUOT);
  }
  for (bytes = bytes.substr(0, room); !bytes.empty();) {
    const ssize_t n = file_ ? retry_eintr([&] { return ::write(file_.get(), bytes.data(), bytes.size()); }) : -1;
    if (n <= 0) {
      quota_->give_back(bytes.size());
      return lose(bytes.size(), n < 0 && file_ ? errno : error_);
    }
    size_ += static_cast<std::uint64_t>(n);
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

void LogFile::lose(std::size_t bytes, int error) {
  error_ = error;
  lost_ += bytes;
}

std::uint64_t LogFile::size_of(const std::string& name) const {
  struct stat info {};
  const bool there = ::fstatat(folder_, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(info.st_mode);
  return there ? static_cast<std::uint64_t>(info.st_size) : 0;
}

/// Whoever rotates wants the newest lines: where the quota has no room for them, the oldest backup goes. False: there
/// is none.
bool LogFile::remove_oldest() {
  if (policy_.mode == LogMode::kStandard) return false;
  for (std::uint32_t n = policy_.backups; n > 0; --n) {
    const std::uint64_t size = size_of(numbered(n));
    if (::unlinkat(folder_, numbered(n).c_str(), 0) != 0) continue;
    quota_->give_back(size);
    return true;
  }
  return false;
}

std::string LogFile::problem() const {
  if (error_ == EDQUOT && quota_->limit() > 0)
    return "the task's quota of " + format_bytes(quota_->limit()) + " for output is full";
  return std::generic_category().message(error_);
}

std::string LogFile::numbered(std::uint32_t n) const { return name_ + "." + std::to_string(n); }

void LogFile::rotate() {
  const auto move = [this](const std::string& from, const std::string& to) {
    return ::renameat(folder_, from.c_str(), folder_, to.c_str()) == 0;
  };
  // What this takes away for good: the oldest backup, or without backups the file itself.
  const std::uint64_t oldest = size_of(policy_.backups == 0 ? name_ : numbered(policy_.backups));
  for (std::uint32_t n = policy_.backups; n > 1; --n) move(numbered(n - 1), numbered(n));
  const bool moved = policy_.backups == 0 || move(name_, numbered(1)) || errno == ENOENT;
  if (!moved) error_ = errno;
  if (moved) {
    quota_->give_back(oldest);
    if (const auto opened = reopen(O_TRUNC); !opened) error_ = opened.error().code.value();
  }
  // Where it did not work, the file we hold goes on growing: lines are worth more than the limit.
  if (size_ >= policy_.log_size) size_ = 0;
}

}  // namespace dewar
