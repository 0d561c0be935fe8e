#include "thermos/logs/index_reader.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "base/files.h"

namespace dewar {
namespace {

constexpr std::size_t kBlock = 2048 * kIndexRecordSize;
constexpr int kTries = 8;  // while files are renamed under our hands

ino_t inode_of(const UniqueFd& folder, const char* name) {
  struct stat info {};
  return ::fstatat(folder.get(), name, &info, AT_SYMLINK_NOFOLLOW) == 0 ? info.st_ino : 0;
}

std::optional<std::uint64_t> head_number(int fd) {
  char bytes[kIndexRecordSize];
  if (::pread(fd, bytes, sizeof bytes, 0) != static_cast<ssize_t>(sizeof bytes)) return std::nullopt;
  const auto record = decode_index_record({bytes, sizeof bytes});
  if (!record || record->kind != IndexKind::kHead) return std::nullopt;
  return record->position;
}

}  // namespace

std::string read_records(int fd, std::uint64_t offset) {
  std::string block(kBlock, '\0');
  const ssize_t n = retry_eintr([&] { return ::pread(fd, block.data(), kBlock, static_cast<off_t>(offset)); });
  const std::size_t size = n < 0 ? 0 : static_cast<std::size_t>(n);
  block.resize(size - size % kIndexRecordSize);
  return block;
}

std::optional<std::uint32_t> number_in(std::string_view name, std::string_view stem) {
  if (!name.starts_with(stem)) return std::nullopt;
  name.remove_prefix(stem.size());
  if (name.empty()) return 0;
  if (name[0] != '.') return std::nullopt;
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(name.data() + 1, name.data() + name.size(), number);
  if (error != std::errc() || end != name.data() + name.size() || number == 0) return std::nullopt;
  return number;
}

UniqueFd open_log(const UniqueFd& folder, const std::string& name, ino_t& inode, std::uint64_t& size) {
  const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  UniqueFd fd(retry_eintr([&] { return ::openat(folder.get(), name.c_str(), flags); }));
  struct stat info {};
  if (!fd || ::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) return {};
  inode = info.st_ino;
  size = static_cast<std::uint64_t>(info.st_size);
  return fd;
}

bool IndexReader::exists() const { return segment_.fd || inode_of(*folder_, "index") != 0 || !segments().empty(); }

std::vector<IndexReader::Segment> IndexReader::segments() const {
  std::vector<std::pair<std::uint32_t, Segment>> found;
  for (int tries = 0; tries < kTries; ++tries) {
    found.clear();
    const auto names = list_folder(*folder_, "log folder");
    if (!names) break;
    for (const std::string& name : *names) {
      const auto number = number_in(name, "index");
      if (!number) continue;
      Segment segment;
      std::uint64_t size = 0;
      segment.fd = open_log(*folder_, name, segment.inode, size);
      if (!segment.fd) continue;
      segment.number = head_number(segment.fd.get());
      found.emplace_back(*number, std::move(segment));
    }
    std::ranges::sort(found, [](const auto& a, const auto& b) { return a.first > b.first; });
    // A rotation in between shows a segment twice or not at all.
    bool whole = true;
    for (std::size_t i = 1; i < found.size(); ++i) {
      const auto &older = found[i - 1].second.number, &newer = found[i].second.number;
      if (older && newer && *newer != *older + 1) whole = false;
    }
    if (whole) break;
    ::sched_yield();
  }
  std::vector<Segment> all;
  for (auto& [number, segment] : found) all.push_back(std::move(segment));
  return all;
}

void IndexReader::go_to(Segment segment) {
  segment_ = std::move(segment);
  offset_ = 0;
  block_.clear();
  at_ = 0;
  record_.reset();
}

bool IndexReader::read_more() {
  block_ = read_records(segment_.fd.get(), offset_);
  at_ = 0;
  offset_ += block_.size();
  return !block_.empty();
}

/// The segment behind ours; the oldest if we have none, or ours is gone. False: there is none (yet).
bool IndexReader::open_next() {
  std::vector<Segment> all = segments();
  if (all.empty()) return false;
  const auto ours = std::ranges::find(all, segment_.inode, &Segment::inode);
  const std::size_t next = !segment_.fd || ours == all.end() ? 0 : static_cast<std::size_t>(ours - all.begin()) + 1;
  if (next >= all.size()) return false;
  go_to(std::move(all[next]));
  return true;
}

bool IndexReader::fill() {
  for (;;) {
    if (segment_.fd) {
      if (read_more()) return true;
      if (inode_of(*folder_, "index") == segment_.inode) return false;
      if (read_more()) return true;  // appended before it was renamed
    }
    if (!open_next()) return false;
  }
}

const IndexRecord* IndexReader::peek() {
  while (!record_) {
    if (at_ == block_.size() && !fill()) return nullptr;
    record_ = decode_index_record(std::string_view(block_).substr(at_, kIndexRecordSize));
    at_ += kIndexRecordSize;
  }
  return &*record_;
}

void FileStarts::refresh() {
  if (inode_of(*folder_, "index") != inode_ || !fd_) go_on();
  take_records();
}

/// With the newest segment that has begun: while segments are renamed, the one before it. Of files that a segment in
/// between told of, the inodes may be others' by now.
void FileStarts::go_on() {
  ino_t inode = 0;
  UniqueFd fd;
  // Who knows of one may come between two renames. Where there is none, there is none.
  for (int left = fd_ ? kTries : 1; left > 0 && !fd; --left) {
    for (const char* name : {"index", "index.1"}) {
      std::uint64_t size = 0;
      fd = open_log(*folder_, name, inode, size);
      if (fd && size >= kIndexRecordSize) break;
      fd.reset();
    }
  }
  if (!fd || (fd_ && inode == inode_)) return;
  take_records();  // of what was the newest until now
  const auto number = head_number(fd.get());
  if (fd_ && (!number || !number_ || *number != *number_ + 1)) {
    starts_.clear();
    latest_ = {0, 0};
  }
  fd_ = std::move(fd);
  inode_ = inode;
  number_ = number;
  offset_ = 0;
}

void FileStarts::take_records() {
  if (!fd_) return;
  for (std::string block; !(block = read_records(fd_.get(), offset_)).empty(); offset_ += block.size()) {
    for (std::string_view rest = block; !rest.empty(); rest.remove_prefix(kIndexRecordSize)) {
      if (rest[0] != static_cast<char>(IndexKind::kFile)) continue;
      const auto record = decode_index_record(rest);
      if (!record || record->position > kMostPosition) continue;
      starts_[record->value] = {record->stream, record->position};
      latest_[record->stream == OutputStream::kStderr] = record->value;
    }
  }
}

std::optional<std::uint64_t> FileStarts::of(OutputStream stream, ino_t inode) const {
  const auto start = starts_.find(inode);
  if (start == starts_.end() || start->second.stream != stream) return std::nullopt;
  return start->second.position;
}

}  // namespace dewar
