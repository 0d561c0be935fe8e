#include "thermos/logs/archive.h"

#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>

#include "base/files.h"
#include "thermos/logs/index_reader.h"

namespace dewar {
namespace {

// The seekable format of Zstandard, contrib/seekable_format/zstd_seekable_compression_format.md.
constexpr std::uint32_t kTableMagic = 0x184D2A5E, kFooterMagic = 0x8F92EAB1;
constexpr std::size_t kTableHead = 8, kFooter = 9;

std::uint32_t number_at(std::string_view bytes, std::size_t at) {
  std::uint32_t number = 0;
  std::memcpy(&number, bytes.data() + at, sizeof number);
  return number;
}

Failure damaged(const std::string& what) { return fail(std::errc::bad_message, "compressed log: " + what); }

Result<std::string> read_exactly(int fd, std::uint64_t at, std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t done = 0; done < size;) {
    const ssize_t n =
        retry_eintr([&] { return ::pread(fd, bytes.data() + done, size - done, static_cast<off_t>(at + done)); });
    if (n < 0) return fail_errno("read a compressed log");
    if (n == 0) return damaged("it ends early");
    done += static_cast<std::size_t>(n);
  }
  return bytes;
}

}  // namespace

Result<Archive> Archive::open(UniqueFd file) {
  Archive archive;
  archive.file_ = std::move(file);
  struct stat info {};
  if (::fstat(archive.file_.get(), &info) != 0) return fail_errno("open a compressed log");
  const auto size = static_cast<std::uint64_t>(info.st_size);
  if (size < kArchiveHeadSize) return damaged("it has no head");
  const auto head = decode_archive_head(DEWAR_TRY(read_exactly(archive.file_.get(), 0, kArchiveHeadSize)));
  if (!head || head->position > kMostPosition) return damaged("it has no head");
  archive.head_ = *head;
  DEWAR_TRY(archive.read_table(size));
  return archive;
}

Result<void> Archive::read_table(std::uint64_t file_size) {
  if (file_size < kArchiveHeadSize + kTableHead + kFooter) return damaged("it has no table of its frames");
  const std::string footer = DEWAR_TRY(read_exactly(file_.get(), file_size - kFooter, kFooter));
  const std::uint32_t count = number_at(footer, 0);
  const auto descriptor = static_cast<unsigned char>(footer[4]);
  const std::size_t entry = (descriptor & 0x80u) != 0 ? 12 : 8;  // with a checksum that we do not need
  const std::uint64_t size = std::uint64_t{count} * entry;
  if (number_at(footer, 5) != kFooterMagic || count > kMaxFrames || size + kTableHead + kFooter > file_size)
    return damaged("it has no table of its frames");
  const std::uint64_t begin = file_size - kFooter - size - kTableHead;
  const std::string table = DEWAR_TRY(read_exactly(file_.get(), begin, kTableHead + size));
  if (number_at(table, 0) != kTableMagic) return damaged("it has no table of its frames");
  Frame next{0, 0};
  for (std::size_t at = kTableHead; at < table.size(); at += entry) {
    const std::uint64_t packed = number_at(table, at), plain = number_at(table, at + 4);
    if (plain > kMaxFrame || packed > kMaxFrame * 2) return damaged("a frame is too large");
    if (plain > 0) frames_.push_back(next);
    next = {next.place + packed, next.offset + plain};
    if (plain == 0 && !frames_.empty()) return damaged("an empty frame");
  }
  frames_.push_back(next);
  if (next.place != begin || next.offset != head_.size) return damaged("the table of its frames does not fit");
  return {};
}

Result<void> Archive::load(std::size_t frame) {
  const Frame &from = frames_[frame], &to = frames_[frame + 1];
  const std::string packed =
      DEWAR_TRY(read_exactly(file_.get(), from.place, static_cast<std::size_t>(to.place - from.place)));
  loaded_ = SIZE_MAX;
  content_.resize(static_cast<std::size_t>(to.offset - from.offset));
  const std::size_t size = ZSTD_decompress(content_.data(), content_.size(), packed.data(), packed.size());
  if (ZSTD_isError(size) != 0) return damaged(ZSTD_getErrorName(size));
  if (size != content_.size()) return damaged("a frame is shorter than its table says");
  loaded_ = frame;
  return {};
}

Result<std::string_view> Archive::read(std::uint64_t offset) {
  if (offset >= head_.size) return std::string_view();
  const auto behind = std::ranges::upper_bound(frames_, offset, {}, &Frame::offset);
  const auto frame = static_cast<std::size_t>(behind - frames_.begin()) - 1;
  if (frame != loaded_) DEWAR_TRY(load(frame));
  return std::string_view(content_).substr(static_cast<std::size_t>(offset - frames_[frame].offset));
}

}  // namespace dewar
