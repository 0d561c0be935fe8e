#include "base/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>

namespace dewar {
namespace {

struct CloseDir {
  void operator()(DIR* dir) const { ::closedir(dir); }
};
using UniqueDir = std::unique_ptr<DIR, CloseDir>;

Result<std::vector<std::string>> names_in(UniqueFd dir, const std::string& what) {
  const UniqueDir stream(::fdopendir(dir.get()));
  if (!stream) return fail_errno("list " + what);
  dir.release();  // the stream owns it now
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) return fail_errno("list " + what);
  std::ranges::sort(names);
  return names;
}

}  // namespace

Result<UniqueFd> open_file(const std::string& path, int flags, mode_t mode) {
  UniqueFd fd(retry_eintr([&] { return ::open(path.c_str(), flags | O_CLOEXEC, mode); }));
  if (!fd) return fail_errno("open " + path);
  return fd;
}

Result<UniqueFd> open_at(const UniqueFd& dir, const std::string& name, int flags, mode_t mode) {
  UniqueFd fd(retry_eintr([&] { return ::openat(dir.get(), name.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, mode); }));
  if (!fd) return fail_errno("open " + name);
  return fd;
}

Result<std::string> read_all(int fd, const std::string& what, std::size_t limit) {
  std::string text;
  std::array<char, 4096> first;  // most files fit: a short text keeps no room for a long one
  for (;;) {
    const std::size_t had = text.size(), block = std::clamp<std::size_t>(had, first.size(), 1u << 20);
    const bool more = had >= first.size();
    if (more) text.resize(had + block);
    const ssize_t n = retry_eintr([&] { return ::read(fd, more ? text.data() + had : first.data(), block); });
    if (n < 0) return fail_errno("read " + what);
    more ? text.resize(had + static_cast<std::size_t>(n))
         : void(text.append(first.data(), static_cast<std::size_t>(n)));
    if (n == 0) return text;
    if (text.size() > limit) return fail(std::errc::file_too_large, "read " + what);
  }
}

Result<std::string> read_file(const std::string& path, std::size_t limit) {
  const UniqueFd fd = DEWAR_TRY(open_file(path, O_RDONLY));
  return read_all(fd.get(), path, limit);
}

Result<std::string> read_tail(const std::string& path, std::size_t most) {
  const UniqueFd fd = DEWAR_TRY(open_file(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return fail_errno("look at " + path);
  if (!S_ISREG(info.st_mode)) return fail(std::errc::invalid_argument, path + " is no file");
  std::string bytes(std::min(most, static_cast<std::size_t>(info.st_size)), '\0');
  const off_t start = info.st_size - static_cast<off_t>(bytes.size());
  const ssize_t n = retry_eintr([&] { return ::pread(fd.get(), bytes.data(), bytes.size(), start); });
  if (n < 0) return fail_errno("read " + path);
  bytes.resize(static_cast<std::size_t>(n));
  return bytes;
}

Result<std::string> read_file_at(const UniqueFd& dir, const std::string& name, std::size_t limit) {
  const UniqueFd fd = DEWAR_TRY(open_at(dir, name, O_RDONLY));
  return read_all(fd.get(), name, limit);
}

Result<void> write_all(int fd, std::string_view bytes, const std::string& what) {
  while (!bytes.empty()) {
    const ssize_t n = retry_eintr([&] { return ::write(fd, bytes.data(), bytes.size()); });
    if (n < 0) return fail_errno("write " + what);
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

Result<void> replace_file(const std::string& path, std::string_view bytes, mode_t mode, bool durable) {
  const std::string temporary = path + ".tmp";
  {
    const UniqueFd fd = DEWAR_TRY(open_file(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode));
    DEWAR_TRY(write_all(fd.get(), bytes, temporary));
    if (durable && ::fsync(fd.get()) != 0) return fail_errno("sync " + temporary);
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) return fail_errno("rename " + temporary + " to " + path);
  if (durable) {
    const UniqueFd dir = DEWAR_TRY(open_file(parent_of(path), O_RDONLY | O_DIRECTORY));
    if (::fsync(dir.get()) != 0) return fail_errno("sync folder of " + path);
  }
  return {};
}

Result<void> write_once(int fd, std::string_view text, const std::string& what) {
  const ssize_t n = retry_eintr([&] { return ::write(fd, text.data(), text.size()); });
  if (n < 0) return fail_errno("write '" + std::string(text) + "' to " + what);
  if (static_cast<std::size_t>(n) != text.size()) return fail(std::errc::io_error, "short write to " + what);
  return {};
}

Result<void> make_dirs(const std::string& path, mode_t mode) {
  if (::mkdir(path.c_str(), mode) == 0 || errno == EEXIST) return {};
  const std::size_t slash = path.find_last_of('/', path.find_last_not_of('/'));
  if (errno != ENOENT || slash == std::string::npos || slash == 0) return fail_errno("make folder " + path);
  DEWAR_TRY(make_dirs(path.substr(0, slash), mode));
  if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST) return fail_errno("make folder " + path);
  return {};
}

Result<std::vector<std::string>> list_dir(const std::string& path) {
  return names_in(DEWAR_TRY(open_file(path, O_RDONLY | O_DIRECTORY)), path);
}

Result<std::vector<std::string>> list_folder(const UniqueFd& folder, const std::string& what) {
  return names_in(DEWAR_TRY(open_at(folder, ".", O_RDONLY | O_DIRECTORY)), what);
}

bool exists(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0;
}

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace dewar
