#include "agent/cli/bundle/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"

namespace dewar {
namespace {

struct FreeEntry {
  void operator()(archive_entry* entry) const { ::archive_entry_free(entry); }
};

Failure failure(archive* a, const std::string& doing) {
  const int code = ::archive_errno(a);
  const char* words = ::archive_error_string(a);
  return fail({code > 0 ? code : EIO, std::generic_category()}, doing + (words ? ": " + std::string(words) : ""));
}

}  // namespace

void ArchiveWriter::Close::operator()(archive* a) const { ::archive_write_free(a); }

Result<ArchiveWriter> ArchiveWriter::create(const std::string& path) {
  UniqueFd file = DEWAR_TRY(open_file(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  std::unique_ptr<archive, Close> writer(::archive_write_new());
  if (!writer) return fail(std::errc::not_enough_memory, "write " + path);
  if (::archive_write_set_format_pax_restricted(writer.get()) != ARCHIVE_OK ||
      ::archive_write_add_filter_zstd(writer.get()) != ARCHIVE_OK)
    return failure(writer.get(), "write " + path);
  // libarchive does not close a descriptor that it was given; it gets one of its own, by the file's name in /proc.
  const std::string own = "/proc/self/fd/" + std::to_string(file.get());
  if (::archive_write_open_filename(writer.get(), own.c_str()) != ARCHIVE_OK)
    return failure(writer.get(), "write " + path);
  return ArchiveWriter(std::move(writer));
}

Result<void> ArchiveWriter::add(const std::string& name, std::string_view bytes, std::int64_t time) {
  const std::unique_ptr<archive_entry, FreeEntry> entry(::archive_entry_new());
  if (!entry) return fail(std::errc::not_enough_memory, "bundle " + name);
  ::archive_entry_set_pathname(entry.get(), name.c_str());
  ::archive_entry_set_filetype(entry.get(), AE_IFREG);
  ::archive_entry_set_perm(entry.get(), 0600);
  ::archive_entry_set_size(entry.get(), static_cast<la_int64_t>(bytes.size()));
  ::archive_entry_set_mtime(entry.get(), time, 0);
  if (::archive_write_header(writer_.get(), entry.get()) != ARCHIVE_OK) return failure(writer_.get(), "bundle " + name);
  if (bytes.empty()) return {};
  if (::archive_write_data(writer_.get(), bytes.data(), bytes.size()) != static_cast<la_ssize_t>(bytes.size()))
    return failure(writer_.get(), "bundle " + name);
  return {};
}

Result<void> ArchiveWriter::finish() {
  if (::archive_write_close(writer_.get()) != ARCHIVE_OK) return failure(writer_.get(), "finish the bundle");
  return {};
}

}  // namespace dewar
