#include "isolation/image/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <locale.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "base/digest.h"
#include "base/encoding.h"
#include "base/files.h"
#include "base/pipe.h"

namespace dewar {
namespace {

constexpr std::size_t kBlock = 1u << 20;
constexpr int kArchiveFd = 3, kAnswerFd = 4;  // in the child, where both come from numbers above

/// What the archive's bytes come from: each is read once, for libarchive and for the digest.
struct Source {
  explicit Source(int from) : fd(from) {}
  int fd;
  Digest sum{Digest::Kind::kSha256};
  std::vector<char> buffer = std::vector<char>(kBlock);

  ssize_t next() {
    const ssize_t size = retry_eintr([&] { return ::read(fd, buffer.data(), buffer.size()); });
    if (size > 0) sum.add({buffer.data(), static_cast<std::size_t>(size)});
    return size;
  }
};

la_ssize_t read_block(archive* reader, void* source, const void** block) {
  auto* from = static_cast<Source*>(source);
  const ssize_t size = from->next();
  if (size < 0) archive_set_error(reader, errno, "read");
  *block = from->buffer.data();
  return size;
}

using Reader = std::unique_ptr<archive, decltype(&archive_read_free)>;

/// Compressions that are a library; libarchive would start programs for others.
Reader make_reader() {
  Reader reader(archive_read_new(), archive_read_free);
  archive_read_support_filter_gzip(reader.get());
  archive_read_support_filter_bzip2(reader.get());
  archive_read_support_filter_xz(reader.get());
  archive_read_support_filter_lzma(reader.get());
  archive_read_support_filter_zstd(reader.get());
  archive_read_support_format_tar(reader.get());
  return reader;
}

Failure damaged(archive* reader, const std::string& name) {
  const char* why = archive_error_string(reader);
  return fail(name + " is no whole tar archive: " + (why != nullptr ? why : "unknown error"));
}

TreeEntry entry_of(archive_entry* from) {
  TreeEntry entry;
  const auto text = [](const char* bytes, const char* utf8) -> std::string {
    return bytes != nullptr ? bytes : utf8 != nullptr ? utf8 : "";
  };
  entry.path = text(archive_entry_pathname(from), archive_entry_pathname_utf8(from));
  entry.mode = archive_entry_perm(from);
  entry.uid = static_cast<uid_t>(archive_entry_uid(from));
  entry.gid = static_cast<gid_t>(archive_entry_gid(from));
  entry.modified = {archive_entry_mtime(from), archive_entry_mtime_nsec(from)};
  const std::string hard = text(archive_entry_hardlink(from), archive_entry_hardlink_utf8(from));
  if (!hard.empty()) {
    entry.kind = TreeEntry::Kind::kHardLink;
    entry.link = hard;
    return entry;
  }
  switch (archive_entry_filetype(from)) {
    case AE_IFDIR:
      entry.kind = TreeEntry::Kind::kFolder;
      break;
    case AE_IFREG:
      entry.kind = TreeEntry::Kind::kFile;
      entry.size = static_cast<std::uint64_t>(std::max<la_int64_t>(archive_entry_size(from), 0));
      break;
    case AE_IFLNK:
      entry.kind = TreeEntry::Kind::kSymlink;
      entry.link = text(archive_entry_symlink(from), archive_entry_symlink_utf8(from));
      break;
    case AE_IFIFO:
      entry.kind = TreeEntry::Kind::kFifo;
      break;
    default:
      entry.kind = TreeEntry::Kind::kOther;
  }
  return entry;
}

Result<void> copy_contents(archive* reader, const UniqueFd& file, const TreeEntry& entry, const std::string& name) {
  const void* block = nullptr;
  std::size_t size = 0;
  la_int64_t offset = 0;
  for (;;) {
    const int status = archive_read_data_block(reader, &block, &size, &offset);
    if (status == ARCHIVE_EOF) return {};
    if (status < ARCHIVE_WARN) return damaged(reader, name);
    const auto end = static_cast<std::uint64_t>(offset) + size;
    if (offset < 0 || end > entry.size) return fail(name + ": a file is longer than it says");
    for (std::size_t at = 0; at < size;) {
      const ssize_t done = retry_eintr([&] {
        return ::pwrite(file.get(), static_cast<const char*>(block) + at, size - at, offset + static_cast<off_t>(at));
      });
      if (done < 0) return fail_errno("write a file of " + name);
      at += static_cast<std::size_t>(done);
    }
  }
}

Result<void> unpack_entries(archive* reader, TreeWriter& tree, const std::string& name) {
  for (;;) {
    archive_entry* from = nullptr;
    const int status = archive_read_next_header(reader, &from);
    if (status == ARCHIVE_EOF) return {};
    if (status < ARCHIVE_WARN) return damaged(reader, name);
    const TreeEntry entry = entry_of(from);
    if (entry.path.empty()) return fail(name + ": a file has no name");
    const UniqueFd file = DEWAR_TRY(tree.add(entry).context(name));
    if (!file) continue;
    DEWAR_TRY(copy_contents(reader, file, entry, name));
    DEWAR_TRY(tree.finish_file(file, entry).context(name));
  }
}

/// Names in an archive are bytes or UTF-8; libarchive would lose those that the locale cannot say.
class Utf8 {
 public:
  Utf8() : locale_(::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)), before_(::uselocale(locale_)) {}
  Utf8(const Utf8&) = delete;
  Utf8& operator=(const Utf8&) = delete;
  ~Utf8() {
    ::uselocale(before_);
    if (locale_ != nullptr) ::freelocale(locale_);
  }

 private:
  locale_t locale_, before_;
};

// The child -----------------------------------------------------------------------------------------------------------

struct Answer {
  std::int32_t error = 0;  ///< errno, or 0 with words for a failure without one
  std::string words;       ///< empty: it went well
  UnpackCount count;
  std::string sha256;
};

template <class Coder>
void code(Coder& c, Answer& v) {
  c(v.error, v.words, v.count.bytes, v.count.entries, v.count.skipped, v.sha256);
}

/// Of root's rights only those over owners and modes, in a root that holds nothing but the folder.
Result<void> confine(const std::string& folder, int archive, int answer) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (::dup2(archive, kArchiveFd) < 0 || ::dup2(answer, kAnswerFd) < 0 || ::close_range(kAnswerFd + 1, ~0u, 0) != 0)
    return fail_errno("close descriptors");
  if (::chroot(folder.c_str()) != 0 || ::chdir("/") != 0) return fail_errno("enter " + folder);
  constexpr std::uint32_t kKept = 1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_FOWNER | 1u << CAP_FSETID;
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[2] = {{kKept, kKept, 0}, {0, 0, 0}};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || ::syscall(SYS_capset, &header, sets) != 0)
    return fail_errno("give up rights");
  return {};
}

Result<Unpacked> unpack_confined(const Layer& layer, const std::string& folder, int answer, const UnpackLimits& limits,
                                 const UnpackCount& before) {
  const Utf8 names;  // the locale's files are the host's
  DEWAR_TRY(confine(folder, layer.archive.get(), answer));
  ::umask(0);
  const UniqueFd root = DEWAR_TRY(open_file("/", O_PATH | O_DIRECTORY));
  const UniqueFd archive(kArchiveFd);
  return unpack_here({archive, layer.name, layer.whiteouts}, root.get(), limits, before);
}

[[noreturn]] void be_child(const Layer& layer, const std::string& folder, int answer, const UnpackLimits& limits,
                           const UnpackCount& before) {
  Answer told;
  if (const auto done = unpack_confined(layer, folder, answer, limits, before)) {
    told.count = done->count;
    told.sha256 = done->sha256;
  } else {
    told.error = done.error().code.value();
    told.words = done.error().context;
  }
  Encoder encoder;
  encoder(told);
  // Ours was moved to 4 if confine() came so far.
  (void)write_all(::fcntl(answer, F_GETFD) < 0 ? kAnswerFd : answer, encoder.bytes(), "answer");
  ::_exit(0);
}

}  // namespace

Result<Unpacked> unpack_here(const Layer& layer, int folder, const UnpackLimits& limits, const UnpackCount& before) {
  Source source{layer.archive.get()};
  if (::lseek(source.fd, 0, SEEK_SET) != 0) return fail_errno("read " + layer.name);
  Unpacked result{before, {}};
  TreeWriter tree(folder, layer.whiteouts, limits, result.count);
  const Reader reader = make_reader();
  if (archive_read_open(reader.get(), &source, nullptr, read_block, nullptr) != ARCHIVE_OK)
    return damaged(reader.get(), layer.name);
  DEWAR_TRY(unpack_entries(reader.get(), tree, layer.name));
  tree.finish();
  ssize_t rest = 0;
  while ((rest = source.next()) > 0) {  // what lies behind the archive's end belongs to the digest
  }
  if (rest < 0) return fail_errno("read " + layer.name);
  result.sha256 = source.sum.finish();
  return result;
}

Result<Unpacked> unpack_layer(const Layer& layer, const std::string& folder, const UnpackLimits& limits,
                              const UnpackCount& before) {
  Pipe pipe = DEWAR_TRY(make_pipe());
  pipe.writer.reset(::fcntl(pipe.writer.get(), F_DUPFD_CLOEXEC, 5));
  const UniqueFd archive(::fcntl(layer.archive.get(), F_DUPFD_CLOEXEC, 5));
  if (!pipe.writer || !archive) return fail_errno("unpack " + layer.name);
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno("start a process to unpack " + layer.name);
  if (pid == 0) be_child({archive, layer.name, layer.whiteouts}, folder, pipe.writer.get(), limits, before);
  pipe.writer.reset();
  const auto bytes = read_all(pipe.reader.get(), "answer");
  retry_eintr([&] { return ::waitpid(pid, nullptr, 0); });
  if (!bytes) return Failure{bytes.error()};
  Answer told;
  Decoder decoder(*bytes);
  decoder(told);
  if (!decoder.complete()) return fail("unpack " + layer.name + ": the process that does it was killed");
  if (!told.words.empty()) return fail({told.error, std::generic_category()}, told.words);
  return Unpacked{told.count, told.sha256};
}

}  // namespace dewar
