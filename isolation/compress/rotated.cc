#include "isolation/compress/rotated.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <optional>
#include <vector>

#include "base/files.h"
#include "isolation/compress/archive.h"

namespace dewar {
namespace {

constexpr char kNew[] = ".compress.new";

/// Whoever holds the file that is being made is the one who compresses in this folder.
Result<UniqueFd> open_new(const UniqueFd& folder) {
  for (;;) {
    UniqueFd file = DEWAR_TRY(open_at(folder, kNew, O_RDWR | O_CREAT, 0644));
    if (retry_eintr([&] { return ::flock(file.get(), LOCK_EX); }) != 0) return fail_errno("lock " + std::string(kNew));
    struct stat held {
    }, named{};
    const bool is_named = ::fstat(file.get(), &held) == 0 &&
                          ::fstatat(folder.get(), kNew, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
                          held.st_ino == named.st_ino;
    if (is_named) return file;  // otherwise the one before us has finished it and given it its name
  }
}

struct Rotated {
  OutputStream stream;
  std::uint32_t number;
};

std::string name_of(const Rotated& file) {
  return std::string(file_name(file.stream)) + "." + std::to_string(file.number);
}

/// Plain rotated files, the oldest first.
Result<std::vector<Rotated>> find_rotated(const UniqueFd& folder, const std::string& path) {
  std::vector<Rotated> found;
  for (const std::string& name : DEWAR_TRY(list_folder(folder, path))) {
    for (const OutputStream stream : {OutputStream::kStdout, OutputStream::kStderr}) {
      const std::string start = std::string(file_name(stream)) + ".";
      Rotated file{stream, 0};
      const char* end = name.data() + name.size();
      if (name.starts_with(start) && std::from_chars(name.data() + start.size(), end, file.number).ptr == end &&
          file.number > 0)
        found.push_back(file);
    }
  }
  std::ranges::sort(found, std::greater{}, &Rotated::number);
  return found;
}

/// Where in its stream a file begins, by the latest record of the index that names it.
std::optional<std::uint64_t> position_of(const UniqueFd& folder, ino_t inode) {
  std::optional<std::uint64_t> position;
  for (const char* segment : {"index.1", "index"}) {  // renamed between the two: then the next round finds it
    const auto bytes = read_file_at(folder, segment);
    for (std::string_view rest = bytes ? std::string_view(*bytes) : ""; rest.size() >= kIndexRecordSize;
         rest.remove_prefix(kIndexRecordSize)) {
      const auto record = decode_index_record(rest);
      if (record && record->kind == IndexKind::kFile && record->value == inode) position = record->position;
    }
  }
  return position;
}

/// Holds the folder's names still. The pump does not wait for us, so nobody may keep us from going on.
class NameLock {
 public:
  explicit NameLock(const UniqueFd& folder) : folder_(folder.get()) {
    const sched_param usual{};
    ::sched_setscheduler(0, SCHED_OTHER, &usual);
    retry_eintr([&] { return ::flock(folder_, LOCK_EX); });
  }
  ~NameLock() {
    ::flock(folder_, LOCK_UN);
    const sched_param idle{};
    ::sched_setscheduler(0, SCHED_IDLE, &idle);
  }
  NameLock(const NameLock&) = delete;
  NameLock& operator=(const NameLock&) = delete;

 private:
  int folder_;
};

/// Puts the finished file in the place of the one with this inode, whatever that is called now. False: it is gone.
Result<bool> take_place(const UniqueFd& folder, const std::string& path, OutputStream stream, ino_t inode) {
  const NameLock lock(folder);
  for (const Rotated& file : DEWAR_TRY(find_rotated(folder, path))) {
    struct stat info {};
    const std::string name = name_of(file);
    if (file.stream != stream || ::fstatat(folder.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0 ||
        info.st_ino != inode)
      continue;
    const std::string compressed = name + ".zst";
    if (::renameat(folder.get(), kNew, folder.get(), compressed.c_str()) != 0)
      return fail_errno("rename " + compressed);
    if (::unlinkat(folder.get(), name.c_str(), 0) != 0) return fail_errno("remove " + name);
    return true;
  }
  return false;
}

/// False: there was no such file any more, or nobody knows where it begins.
Result<bool> compress_one(const UniqueFd& folder, const std::string& path, const Rotated& rotated, LogQuota& task,
                          LogQuota& host) {
  const auto from = open_at(folder, name_of(rotated), O_RDONLY | O_NONBLOCK);
  struct stat plain {
  }, packed{};
  if (!from || ::fstat(from->get(), &plain) != 0 || !S_ISREG(plain.st_mode)) return false;
  const auto position = position_of(folder, plain.st_ino);
  if (!position) return false;
  const UniqueFd to = DEWAR_TRY(open_new(folder));
  if (::ftruncate(to.get(), 0) != 0 || ::fchmod(to.get(), 0644) != 0) return fail_errno("empty " + std::string(kNew));
  const ArchiveHead head{rotated.stream, *position, static_cast<std::uint64_t>(plain.st_size)};
  const auto written = write_archive(from->get(), to.get(), head);
  if (!written || ::fstat(to.get(), &packed) != 0 ||
      !DEWAR_TRY(take_place(folder, path, rotated.stream, plain.st_ino))) {
    ::unlinkat(folder.get(), kNew, 0);
    if (!written) return Failure{written.error()};
    return false;
  }
  for (LogQuota* quota : {&task, &host}) {
    quota->charge(static_cast<std::uint64_t>(packed.st_size));
    quota->give_back(static_cast<std::uint64_t>(plain.st_size));
  }
  return true;
}

}  // namespace

Result<int> compress_rotated(const std::string& path, LogQuota& task, LogQuota& host) {
  const UniqueFd folder = DEWAR_TRY(open_file(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  for (int count = 0;;) {
    bool any = false;
    for (const Rotated& file : DEWAR_TRY(find_rotated(folder, path))) {
      any = DEWAR_TRY(compress_one(folder, path, file, task, host));
      if (any) break;  // the others may have other names by now
    }
    if (!any) return count;
    ++count;
  }
}

}  // namespace dewar
