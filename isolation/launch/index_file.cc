#include "isolation/launch/index_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <limits>

#include "base/files.h"

namespace dewar {
namespace {

constexpr char kName[] = "index";
constexpr std::int64_t kMergeNs = 1'000'000;
constexpr std::size_t kMostSegments = 64;

std::string numbered(std::size_t segment) { return std::string(kName) + "." + std::to_string(segment); }

}  // namespace

Result<IndexFile> IndexFile::open(const UniqueFd& folder, LogQuota& quota) {
  IndexFile index(folder.get(), quota);
  index.close_ranks();
  index.learn();
  DEWAR_TRY(index.open_segment());
  return index;
}

Result<void> IndexFile::open_segment() {
  const int flags = O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  UniqueFd file(::openat(folder_, kName, flags, 0644));
  if (!file) return fail_errno("open index");
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return fail_errno("open index");
  if (!S_ISREG(info.st_mode)) return fail(std::errc::invalid_argument, "open index");
  if (::fchmod(file.get(), 0644) != 0) return fail_errno("own index");
  size_ = static_cast<std::uint64_t>(info.st_size);
  if (size_ % kIndexRecordSize != 0) {  // torn by a pump that died
    size_ -= size_ % kIndexRecordSize;
    if (::ftruncate(file.get(), static_cast<off_t>(size_)) != 0) return fail_errno("cut index");
  }
  inode_ = info.st_ino;
  file_ = std::move(file);
  write_files();  // also into one that had only begun: it may not tell of all
  return {};
}

/// Old segments are numbered without a break, but for where one was being renamed by a pump that died.
void IndexFile::close_ranks() {
  // Where they end is not looked up: they go when there are too many of them.
  constexpr std::uint64_t kUnknown = std::numeric_limits<std::uint64_t>::max();
  struct stat info {};
  for (std::size_t n = 1; n <= closed_.size() + 2; ++n) {
    if (::fstatat(folder_, numbered(n).c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
    closed_.push_back({kUnknown, kUnknown});
    if (n != closed_.size()) ::renameat(folder_, numbered(n).c_str(), folder_, numbered(closed_.size()).c_str());
  }
}

/// The latest segment tells all that is there. If it has only begun, or was not even made any more, the one before it
/// does.
void IndexFile::learn() {
  for (const std::string& name : {numbered(1), std::string(kName)}) {
    const UniqueFd file(::openat(folder_, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    const auto bytes = file ? read_all(file.get(), name) : std::string();
    if (bytes) learn_from(*bytes);
  }
}

void IndexFile::learn_from(const std::string& bytes) {
  for (std::string_view rest = bytes; rest.size() >= kIndexRecordSize; rest.remove_prefix(kIndexRecordSize)) {
    const auto record = decode_index_record(rest);
    if (!record) continue;
    time_ = std::max(time_, record->time);
    if (record->kind == IndexKind::kHead) {
      number_ = record->position + 1;
      continue;
    }
    std::uint64_t& end = ends_[place(record->stream)];
    end = std::max(end, record->position + (record->kind == IndexKind::kData ? record->value : 0));
    if (record->kind != IndexKind::kFile) in_gap_[place(record->stream)] = record->kind == IndexKind::kGap;
    if (record->kind != IndexKind::kFile) continue;
    std::erase_if(files_, [&](const File& file) { return file.inode == record->value; });
    files_.push_back({record->stream, record->position, record->value});
  }
}

std::optional<std::uint64_t> IndexFile::start_of(std::uint64_t inode) const {
  const auto found = std::ranges::find(files_, inode, &File::inode);
  return found == files_.end() ? std::nullopt : std::optional(found->position);
}

/// At once, behind a head where there is none: a reader of a new segment need not know what older ones told of.
void IndexFile::write_files() {
  std::string records;
  const auto add = [&](const IndexRecord& record) {
    const auto bytes = encode_index_record(record);
    records.append(bytes.data(), bytes.size());
  };
  if (size_ == 0) add({IndexKind::kHead, OutputStream::kStdout, GapReason::kNone, time_, number_++, kIndexVersion});
  for (const File& file : files_)
    add({IndexKind::kFile, file.stream, GapReason::kNone, time_, file.position, file.inode});
  append(records);
}

void IndexFile::append(std::string_view records) {
  if (!file_) return;
  const ssize_t n = retry_eintr([&] { return ::write(file_.get(), records.data(), records.size()); });
  if (n == static_cast<ssize_t>(records.size())) {
    size_ += records.size();
    quota_->charge(records.size());
  } else if (n > 0) {
    (void)!::ftruncate(file_.get(), static_cast<off_t>(size_));
  }
}

void IndexFile::rotate() {
  for (std::size_t n = closed_.size(); n > 0; --n)
    ::renameat(folder_, numbered(n).c_str(), folder_, numbered(n + 1).c_str());
  if (::renameat(folder_, kName, folder_, numbered(1).c_str()) != 0) {
    size_ = 0;  // it goes on growing; tried again when it has grown as much once more
    return;
  }
  closed_.push_front(ends_);
  remove_segments();
  if (!open_segment()) file_.reset();
}

void IndexFile::remove_segments() {
  const auto is_of_no_use = [this](const std::array<std::uint64_t, 2>& ends) {
    return closed_.size() > kMostSegments || (ends[0] <= kept_[0] && ends[1] <= kept_[1]);
  };
  while (!closed_.empty() && is_of_no_use(closed_.back())) {
    const std::string name = numbered(closed_.size());
    struct stat info {};
    const bool there = ::fstatat(folder_, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0;
    if (there && ::unlinkat(folder_, name.c_str(), 0) == 0) quota_->give_back(static_cast<std::uint64_t>(info.st_size));
    closed_.pop_back();
  }
}

void IndexFile::write(IndexRecord record) {
  record.time = time_ = std::max(time_, record.time);
  if (record.kind == IndexKind::kData) ends_[place(record.stream)] = record.position + record.value;
  if (record.kind == IndexKind::kData || record.kind == IndexKind::kEnd) in_gap_[place(record.stream)] = false;
  const auto bytes = encode_index_record(record);
  append({bytes.data(), bytes.size()});
  if (size_ >= kIndexSegmentSize && record.kind != IndexKind::kFile) rotate();
}

void IndexFile::file(OutputStream stream, std::uint64_t position, std::uint64_t inode) {
  flush();
  std::erase_if(files_, [&](const File& file) { return file.inode == inode; });
  files_.push_back({stream, position, inode});
  write({IndexKind::kFile, stream, GapReason::kNone, time_, position, inode});
}

void IndexFile::forget(OutputStream stream, std::uint64_t position) {
  kept_[place(stream)] = position;
  std::erase_if(files_, [&](const File& file) { return file.stream == stream && file.position < position; });
  remove_segments();
}

void IndexFile::data(OutputStream stream, std::uint64_t position, std::uint64_t length, std::int64_t time) {
  if (data_ && data_->stream == stream && data_->position + data_->value == position && !gaps_[place(stream)] &&
      time - data_->time < kMergeNs && time >= data_->time) {
    data_->value += length;
    return;
  }
  flush();
  close_gap(stream);
  data_ = {IndexKind::kData, stream, GapReason::kNone, time, position, length};
}

void IndexFile::gap(OutputStream stream, std::uint64_t position, std::uint64_t length, GapReason reason,
                    std::int64_t time) {
  auto& gap = gaps_[place(stream)];
  if (!gap || gap->reason != reason || gap->position != position) {
    flush();
    close_gap(stream);
    write({IndexKind::kGap, stream, reason, time, position, length});
    gap = {IndexKind::kGap, stream, reason, time, position, 0};
    return;
  }
  gap->value += length;
  if (gap->value < kUntold) return;
  flush();
  tell(*gap);
}

void IndexFile::tell(IndexRecord& gap) {
  if (gap.value > 0) write(gap);
  gap.value = 0;
}

void IndexFile::close_gap(OutputStream stream) {
  auto& gap = gaps_[place(stream)];
  if (gap) tell(*gap);
  gap.reset();
}

void IndexFile::end(OutputStream stream, std::uint64_t position, std::int64_t time) {
  flush();
  close_gap(stream);
  write({IndexKind::kEnd, stream, GapReason::kNone, time, position, 0});
}

void IndexFile::flush() {
  if (!data_) return;
  const IndexRecord record = *data_;
  data_.reset();
  write(record);
}

void IndexFile::flush_gaps() {
  flush();
  for (auto& gap : gaps_)
    if (gap) tell(*gap);
}

bool IndexFile::check() {
  struct stat info {};
  if (file_ && ::fstatat(folder_, kName, &info, AT_SYMLINK_NOFOLLOW) == 0 && info.st_ino == inode_) return true;
  if (!open_segment()) file_.reset();
  return false;
}

}  // namespace dewar
