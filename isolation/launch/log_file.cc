#include "isolation/launch/log_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/files.h"
#include "isolation/log_collector.h"
#include "isolation/old_runs.h"

namespace dewar {
namespace {

constexpr std::size_t kLatestCut = 64u << 10;  // how far a file may grow beyond its limit to end with a whole line
constexpr char kCompressed[] = ".zst";
constexpr std::int64_t kLookNs = 1'000'000'000;

/// Held while names are changed: the program that compresses old files looks one up and replaces it under the same
/// lock.
class NameLock {
 public:
  explicit NameLock(int folder) : folder_(folder), held_(::flock(folder, LOCK_EX | LOCK_NB) == 0) {}
  ~NameLock() {
    if (held_) ::flock(folder_, LOCK_UN);
  }
  NameLock(const NameLock&) = delete;
  NameLock& operator=(const NameLock&) = delete;
  bool held() const { return held_; }

 private:
  int folder_;
  bool held_;
};

}  // namespace

Result<LogFile> LogFile::open(const UniqueFd& folder, OutputStream stream, const LogPolicy& policy, LogQuota& quota,
                              IndexFile& index, Begin begin) {
  LogFile log(folder.get(), stream, policy, quota, index);
  const bool anew = policy.mode == LogMode::kRotate && begin == Begin::kNew;
  DEWAR_TRY(log.reopen(anew ? O_TRUNC : 0));
  log.go_on(begin);
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
  if (::fchmod(file.get(), 0644) != 0) return fail_errno("own " + name_);
  size_ = static_cast<std::uint64_t>(info.st_size);  // after O_TRUNC, if that was asked
  inode_ = info.st_ino;
  rotate_at_ = policy_.log_size;
  file_ = std::move(file);
  return {};
}

/// Finds the stream's cursor after whoever wrote here before. Bytes that he did not live to tell of get their record.
void LogFile::go_on(Begin begin) {
  const std::uint64_t told = index_->end_of(stream_);
  const auto start = index_->start_of(inode_);
  position_ = std::max(told, (size_ > 0 && start ? *start : told > 0 ? told - std::min(told, size_) : 0) + size_);
  begin_file();
  if (position_ > told) {
    struct stat info {};
    ::fstat(file_.get(), &info);
    index_->data(stream_, told, position_ - told, info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec);
    index_->flush();
  }
  bool broken = begin == Begin::kNew;  // who died while he renamed has left one number free
  for (std::uint32_t n = 1; policy_.mode == LogMode::kRotate && n <= policy_.backups; ++n) {
    if (!has_backup(n)) {
      if (broken) break;
      broken = true;
      continue;
    }
    struct stat info {};
    const bool plain = ::fstatat(folder_, numbered(n).c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0;
    starts_.push_back(plain ? index_->start_of(info.st_ino).value_or(0) : start_of_archive(numbered(n) + kCompressed));
  }
}

/// Where the content of a compressed backup begins; 0 if that cannot be read.
std::uint64_t LogFile::start_of_archive(const std::string& name) const {
  const UniqueFd file(::openat(folder_, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  char bytes[kArchiveHeadSize];
  const ssize_t n = file ? ::read(file.get(), bytes, sizeof bytes) : -1;
  const auto head = decode_archive_head({bytes, n > 0 ? static_cast<std::size_t>(n) : 0});
  return head ? head->position : 0;
}

void LogFile::begin_file() {
  if (!starts_.empty() && policy_.mode == LogMode::kStandard) starts_.clear();
  starts_.push_front(position_ - std::min(position_, size_));
  index_->file(stream_, starts_.front(), inode_);
}

void LogFile::write(std::string_view bytes, std::int64_t time) {
  while (!bytes.empty()) {
    const std::size_t part = until_rotation(bytes);
    append(bytes.substr(0, part), time);
    bytes.remove_prefix(part);
    if (policy_.mode == LogMode::kRotate && size_ >= rotate_at_) rotate();
  }
}

std::size_t LogFile::until_rotation(std::string_view bytes) const {
  if (policy_.mode == LogMode::kStandard) return bytes.size();
  const std::size_t room = rotate_at_ > size_ ? rotate_at_ - size_ : 1;
  if (bytes.size() <= room) return bytes.size();
  const std::size_t line_end = bytes.substr(0, room + kLatestCut).find('\n', room - 1);
  return line_end == std::string_view::npos ? room : line_end + 1;
}

void LogFile::append(std::string_view bytes, std::int64_t time) {
  for (;;) {
    // Who makes room counts what is there: so what has some is written before.
    const std::size_t room = quota_->take(bytes.size());
    if (room > 0) keep(bytes.substr(0, room), time);
    bytes.remove_prefix(room);
    if (bytes.empty()) return;
    if (!remove_old_run(time) && !remove_oldest()) break;
  }
  quota_->drop(bytes.size());
  lose(bytes.size(), EDQUOT, time);
}

void LogFile::keep(std::string_view bytes, std::int64_t time) {
  index_->close_gap(stream_);
  while (!bytes.empty()) {
    const ssize_t n = file_ ? retry_eintr([&] { return ::write(file_.get(), bytes.data(), bytes.size()); }) : -1;
    if (n <= 0) {
      const int error = n < 0 && file_ ? errno : error_;
      quota_->give_back(bytes.size());
      return lose(bytes.size(), error, time);
    }
    index_->data(stream_, position_, static_cast<std::uint64_t>(n), time);
    size_ += static_cast<std::uint64_t>(n);
    position_ += static_cast<std::uint64_t>(n);
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

void LogFile::lose(std::size_t bytes, int error, std::int64_t time) {
  error_ = error;
  lost_ += bytes;
  miss(bytes, error == EDQUOT && quota_->limits() ? GapReason::kQuota : GapReason::kDisk, time);
}

void LogFile::miss(std::uint64_t bytes, GapReason reason, std::int64_t time) {
  index_->gap(stream_, position_, bytes, reason, time);
}

/// Removes one of our files and returns how much room that made.
std::uint64_t LogFile::remove(const std::string& name) const {
  struct stat info {};
  const bool there = ::fstatat(folder_, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(info.st_mode);
  if (!there || ::unlinkat(folder_, name.c_str(), 0) != 0) return 0;
  return static_cast<std::uint64_t>(info.st_size);
}

void LogFile::forget_removed() {
  if (!starts_.empty()) index_->forget(stream_, starts_.back());
}

/// The logs of runs that have ended go before any of a living one. Looked for at most once a second.
bool LogFile::remove_old_run(std::int64_t time) {
  if (task_logs_.empty() || (time < no_old_runs_ + kLookNs && time >= no_old_runs_)) return false;
  if (work_dir_quota_ > 0) {
    const auto gone = collect_logs(work_dir_, work_dir_quota_);
    if (gone && !gone->empty()) {
      collected_ += gone->size();
      return true;
    }
  }
  const std::uint64_t room = remove_oldest_run(task_logs_);
  if (room == 0) {
    no_old_runs_ = time;
    return false;
  }
  ++removed_runs_;
  removed_for_ = quota_->problem();
  quota_->give_back(room);
  return true;
}

/// Whoever rotates wants the newest lines: where the quota has no room for them, the oldest backup goes. False: there
/// is none.
bool LogFile::remove_oldest() {
  if (policy_.mode == LogMode::kStandard) return false;
  for (std::uint32_t n = policy_.backups; n > 0; --n) {
    const std::uint64_t room = remove(numbered(n)) + remove(numbered(n) + kCompressed);
    if (room == 0) continue;
    quota_->give_back(room);
    while (starts_.size() > n) starts_.pop_back();
    forget_removed();
    return true;
  }
  return false;
}

std::string LogFile::problem() const {
  if (error_ == EDQUOT && quota_->limits()) return quota_->problem();
  return std::generic_category().message(error_);
}

std::string LogFile::numbered(std::uint32_t n) const { return name_ + "." + std::to_string(n); }

bool LogFile::has_backup(std::uint32_t number) const {
  struct stat info {};
  return ::fstatat(folder_, numbered(number).c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 ||
         ::fstatat(folder_, (numbered(number) + kCompressed).c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0;
}

void LogFile::rotate() {
  const NameLock lock(folder_);
  rotate_at_ = size_ + kLatestCut;
  if (!lock.held()) return;  // tried again soon
  index_->flush();           // who goes on after us must know where the file that we leave ends
  const auto move = [this](const std::string& from, const std::string& to) {
    return ::renameat(folder_, from.c_str(), folder_, to.c_str()) == 0;
  };
  if (policy_.backups > 0) {
    std::uint32_t last = 1;  // the first number that is free, or the oldest
    while (last < policy_.backups && has_backup(last)) ++last;
    quota_->give_back(remove(numbered(last)) + remove(numbered(last) + kCompressed));
    for (std::uint32_t n = last; n > 1; --n) {
      move(numbered(n - 1), numbered(n));
      move(numbered(n - 1) + kCompressed, numbered(n) + kCompressed);
    }
  }
  const bool moved = policy_.backups == 0 || move(name_, numbered(1)) || errno == ENOENT;
  if (!moved) error_ = errno;
  if (moved) {
    if (policy_.backups == 0) quota_->give_back(size_);
    if (const auto opened = reopen(O_TRUNC); !opened) error_ = opened.error().code.value();
    begin_file();
    while (starts_.size() > policy_.backups + std::size_t{1}) starts_.pop_back();
    forget_removed();
    rotated_ = policy_.backups > 0;
  }
  // Where it did not work, the file we hold goes on growing: lines are worth more than the limit.
  if (size_ >= policy_.log_size) rotate_at_ = size_ + policy_.log_size;
}

void LogFile::check() {
  struct stat info {};
  const bool there = ::fstatat(folder_, name_.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0;
  if (there && info.st_ino == inode_ && S_ISREG(info.st_mode)) {
    const auto size = static_cast<std::uint64_t>(info.st_size);
    if (size >= size_) return;
    quota_->give_back(size_ - size);
    size_ = size;
  } else {
    struct stat held {};
    if (file_ && ::fstat(file_.get(), &held) == 0 && held.st_nlink == 0) quota_->give_back(size_);
    if (there) move_away();
    if (const auto opened = reopen(0); !opened) error_ = opened.error().code.value();
  }
  replaced_ = true;
  starts_.pop_front();
  begin_file();
}

/// What somebody has put in our place is his; it goes out of the way.
void LogFile::move_away() { ::renameat(folder_, name_.c_str(), folder_, (name_ + ".foreign").c_str()); }

}  // namespace dewar
