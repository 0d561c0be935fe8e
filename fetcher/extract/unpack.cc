#include "fetcher/extract/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/files.h"
#include "base/units.h"
#include "fetcher/extract/names.h"

namespace dewar {
namespace {

constexpr mode_t kKept = 0755;  // nobody else writes; no setuid, setgid, sticky
constexpr mode_t kFileLeast = 0600, kFolderLeast = 0700;
constexpr std::size_t kTarBlock = 512;
constexpr std::uint64_t kMostPadding = 16u << 20;  // behind the end of a tar
constexpr std::size_t kZipBuffer = 128u << 10;

struct FreeArchive {
  void operator()(archive* reader) const { ::archive_read_free(reader); }
};
using Reader = std::unique_ptr<archive, FreeArchive>;

Failure archive_failure(archive* reader, const std::string& doing) {
  const char* words = ::archive_error_string(reader);
  return fail(doing + ": " + (words ? words : "damaged"));
}

/// What libarchive reads a tar from. It tells only that there was an error; which, is kept here.
struct TarSource {
  Ring& ring;
  std::string_view first;
  std::optional<Error> error;

  static la_ssize_t read(archive* reader, void* self, const void** bytes) {
    auto& source = *static_cast<TarSource*>(self);
    const auto chunk = source.first.empty() ? source.ring.next() : std::exchange(source.first, {});
    if (!chunk) {
      source.error = chunk.error();
      ::archive_set_error(reader, EIO, "the data ended");
      return -1;
    }
    *bytes = chunk->data();
    return static_cast<la_ssize_t>(chunk->size());
  }
};

Result<void> write_at(int file, const char* bytes, std::size_t size, std::uint64_t offset, const std::string& path) {
  while (size > 0) {
    const ssize_t n = retry_eintr([&] { return ::pwrite(file, bytes, size, static_cast<off_t>(offset)); });
    if (n < 0) return fail_errno("write " + shown(path));
    bytes += n;
    offset += static_cast<std::uint64_t>(n);
    size -= static_cast<std::size_t>(n);
  }
  return {};
}

timespec modified_of(archive_entry* entry) {
  if (!::archive_entry_mtime_is_set(entry)) return {.tv_sec = 0, .tv_nsec = UTIME_NOW};
  return {.tv_sec = ::archive_entry_mtime(entry), .tv_nsec = ::archive_entry_mtime_nsec(entry)};
}

/// One archive, entry by entry.
class Unpacking {
 public:
  Unpacking(archive* reader, Staging& staging, Meter& meter) : reader_(reader), staging_(staging), meter_(meter) {}

  Result<void> all() {
    while (true) {
      archive_entry* entry = nullptr;
      const int code = ::archive_read_next_header(reader_, &entry);
      if (code == ARCHIVE_EOF) return {};
      // A warning is about a name that is not of the locale's charset; its bytes are there all the same.
      if (code != ARCHIVE_OK && code != ARCHIVE_WARN) return archive_failure(reader_, "read the archive");
      DEWAR_TRY(meter_.entry());
      DEWAR_TRY(one(entry));
    }
  }

 private:
  Result<void> one(archive_entry* entry) {
    const char* const name = ::archive_entry_pathname(entry);
    if (name == nullptr) return fail("the archive has an entry without a name");
    const std::string path = DEWAR_TRY(entry_path(name, meter_.limits().depth));
    if (::archive_entry_is_encrypted(entry)) return fail("entry " + shown(name) + " is encrypted");
    if (const char* existing = ::archive_entry_hardlink(entry)) return hard_link(path, existing);
    const auto type = ::archive_entry_filetype(entry);
    if (type == AE_IFDIR) return folder(path, entry);
    if (path.empty()) return fail("entry " + shown(name) + " has no name of its own");
    if (type == AE_IFREG) return file(path, entry);
    if (type == AE_IFLNK) return symlink(path, entry);
    return fail("entry " + shown(name) + " is a device, a pipe or a socket");
  }

  mode_t mode_of(archive_entry* entry, mode_t least) {
    const mode_t asked = ::archive_entry_perm(entry);
    if (asked & ~kKept) ++meter_.report().modes_cut;
    return (asked & kKept) | least;
  }

  Result<void> folder(const std::string& path, archive_entry* entry) {
    if (path.empty()) return {};  // the target itself, which is the caller's
    ++meter_.report().folders;
    return staging_.add_folder(path, mode_of(entry, kFolderLeast), modified_of(entry));
  }

  Result<void> hard_link(const std::string& path, const char* existing) {
    if (path.empty()) return fail("a hard link has no name of its own");
    ++meter_.report().hard_links;
    return staging_.add_hard_link(path, DEWAR_TRY(entry_path(existing, meter_.limits().depth)));
  }

  Result<void> symlink(const std::string& path, archive_entry* entry) {
    const char* const target = ::archive_entry_symlink(entry);
    if (target == nullptr || *target == '\0') return fail("symlink " + shown(path) + " points to nothing");
    if (!meter_.limits().outside_links && !stays_inside(path, target))
      return fail("symlink " + shown(path) + " -> " + shown(target) + " may lead outside the folder it is unpacked in");
    ++meter_.report().symlinks;
    return staging_.add_symlink(path, target);
  }

  Result<void> file(const std::string& path, archive_entry* entry) {
    ++meter_.report().files;
    const std::uint64_t size =
        ::archive_entry_size_is_set(entry) ? static_cast<std::uint64_t>(::archive_entry_size(entry)) : 0;
    DEWAR_TRY(meter_.grow(path, size));
    const UniqueFd file = DEWAR_TRY(staging_.add_file(path, mode_of(entry, kFileLeast)));
    std::uint64_t counted = size, written = 0;
    while (true) {
      const void* bytes = nullptr;
      std::size_t count = 0;
      la_int64_t offset = 0;
      const int code = ::archive_read_data_block(reader_, &bytes, &count, &offset);
      if (code == ARCHIVE_EOF) break;
      if (code != ARCHIVE_OK) return archive_failure(reader_, "read " + shown(path));
      const std::uint64_t end = static_cast<std::uint64_t>(offset) + count;
      if (offset < 0 || end < count) return fail("read " + shown(path) + ": impossible offset");
      if (end > counted) DEWAR_TRY(meter_.grow(path, end - std::exchange(counted, end)));
      DEWAR_TRY(write_at(file.get(), static_cast<const char*>(bytes), count, static_cast<std::uint64_t>(offset), path));
      written = std::max(written, end);
    }
    // A sparse file may end in a hole.
    if (size > written && ::ftruncate(file.get(), static_cast<off_t>(size)) != 0)
      return fail_errno("size " + shown(path));
    const timespec times[2] = {modified_of(entry), modified_of(entry)};
    if (::futimens(file.get(), times) != 0) return fail_errno("set the time of " + shown(path));
    return {};
  }

  archive* reader_;
  Staging& staging_;
  Meter& meter_;
};

Reader make_reader() { return Reader(::archive_read_new()); }

/// What follows the end of a tar is padding up to its record size; all of it must arrive, or checksums at the very end
/// of the stream would not be looked at.
Result<void> skip_padding(Ring& source) {
  for (std::uint64_t skipped = 0; skipped <= kMostPadding;) {
    const std::string_view chunk = DEWAR_TRY(source.next());
    if (chunk.empty()) return {};
    skipped += chunk.size();
  }
  return fail("more than " + format_bytes(kMostPadding) + " follow the end of the archive");
}

bool says_tar(std::string_view name) {
  constexpr std::array<std::string_view, 4> kShort{".tgz", ".tbz2", ".txz", ".tzst"};
  return name.ends_with(".tar") || name.find(".tar.") != std::string_view::npos ||
         std::ranges::any_of(kShort, [&](std::string_view suffix) { return name.ends_with(suffix); });
}

}  // namespace

Result<void> Meter::entry() {
  if (++entries_ > limits_.entries)
    return fail("the archive has more entries than the limit of " + std::to_string(limits_.entries));
  return {};
}

Result<void> Meter::grow(const std::string& path, std::uint64_t bytes) {
  if (bytes > limits_.bytes - report_.bytes)
    return fail("with " + shown(path) + " the files of the archive are larger than the limit of " +
                format_bytes(limits_.bytes));
  report_.bytes += bytes;
  const std::uint64_t beyond = report_.bytes - std::min(report_.bytes, ExtractLimits::kFreeBytes);
  if (archive_bytes_ > 0 && beyond / archive_bytes_ >= limits_.ratio)
    return fail("with " + shown(path) + " the files are more than " + std::to_string(limits_.ratio) +
                " times as large as the archive");
  return {};
}

bool looks_like_tar(std::string_view head, std::string_view name) {
  if (head.size() < kTarBlock) return false;
  head = head.substr(0, kTarBlock);
  if (head.substr(257, 5) == "ustar") return true;
  if (head.find_first_not_of('\0') == std::string_view::npos) return says_tar(name);
  // The oldest form has no magic, but a checksum: octal, over the header with blanks in place of the checksum itself.
  constexpr std::size_t kSumAt = 148, kSumSize = 8;
  unsigned sum = 0, stated = 0;
  for (std::size_t i = 0; i < kTarBlock; ++i) sum += i - kSumAt < kSumSize ? ' ' : static_cast<unsigned char>(head[i]);
  std::string_view digits = head.substr(kSumAt, kSumSize);
  digits.remove_prefix(std::min(digits.find_first_not_of(' '), digits.size()));
  for (const char c : digits) {
    if (c < '0' || c > '7') break;
    stated = stated * 8 + static_cast<unsigned>(c - '0');
  }
  return sum == stated;
}

Result<void> unpack_tar(std::string_view first, Ring& source, Staging& staging, Meter& meter) {
  const Reader reader = make_reader();
  if (!reader) return fail(std::errc::not_enough_memory, "libarchive");
  TarSource bytes{source, first, std::nullopt};
  ::archive_read_support_format_tar(reader.get());
  const bool open = ::archive_read_open(reader.get(), &bytes, nullptr, TarSource::read, nullptr) == ARCHIVE_OK;
  const auto done = open ? Unpacking(reader.get(), staging, meter).all()
                         : Result<void>(archive_failure(reader.get(), "read the archive"));
  if (bytes.error) return Failure{*bytes.error};
  if (!done) return Failure{done.error()};
  return skip_padding(source);
}

Result<void> unpack_zip(int file, std::uint64_t size, Staging& staging, Meter& meter) {
  const Reader reader = make_reader();
  if (!reader) return fail(std::errc::not_enough_memory, "libarchive");
  meter.watch_ratio(size);
  ::archive_read_support_format_zip_seekable(reader.get());
  if (::lseek(file, 0, SEEK_SET) < 0) return fail_errno("rewind the zip archive");
  if (::archive_read_open_fd(reader.get(), file, kZipBuffer) != ARCHIVE_OK)
    return archive_failure(reader.get(), "read the zip archive");
  return Unpacking(reader.get(), staging, meter).all();
}

Result<void> unpack_single(std::string_view first, Ring& source, const std::string& name, Staging& staging,
                           Meter& meter) {
  const UniqueFd file = DEWAR_TRY(staging.add_file(name, 0644));
  ++meter.report().files;
  std::uint64_t at = 0;
  for (std::string_view chunk = first; !chunk.empty(); chunk = DEWAR_TRY(source.next())) {
    DEWAR_TRY(meter.grow(name, chunk.size()));
    DEWAR_TRY(write_at(file.get(), chunk.data(), chunk.size(), at, name));
    at += chunk.size();
  }
  return {};
}

}  // namespace dewar
