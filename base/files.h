// Files, always through descriptors that close on exec, with the name of the thing in every error.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace dewar {

/// Repeats a call that a signal cut short.
template <class Call>
auto retry_eintr(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

/// open(2) with O_CLOEXEC. Follows symlinks unless `flags` has O_NOFOLLOW.
Result<UniqueFd> open_file(const std::string& path, int flags, mode_t mode = 0644);

/// Opens `name` directly below `dir`. Always O_CLOEXEC; never follows a symlink at the end (ELOOP).
Result<UniqueFd> open_at(const UniqueFd& dir, const std::string& name, int flags, mode_t mode = 0644);

/// Everything that is left to read from `fd`; `what` names it in errors. Errors: EFBIG beyond `limit` bytes.
Result<std::string> read_all(int fd, const std::string& what, std::size_t limit = 64u << 20);
Result<std::string> read_file(const std::string& path, std::size_t limit = 64u << 20);
/// The last `most` bytes of a regular file; never follows a symlink at the end of `path`, and waits for nothing.
Result<std::string> read_tail(const std::string& path, std::size_t most);
Result<std::string> read_file_at(const UniqueFd& dir, const std::string& name, std::size_t limit = 64u << 20);

/// Writes all of `bytes`, however many write(2)s it takes.
Result<void> write_all(int fd, std::string_view bytes, const std::string& what);

/// Replaces `path` by a file with `bytes`: temporary file beside it, fsync if `durable`, rename. Readers see the old
/// or the new content, never a part.
Result<void> replace_file(const std::string& path, std::string_view bytes, mode_t mode = 0644, bool durable = false);

/// Writes `text` in one write(2), as kernel knobs demand: half a number is a wrong number. `what` names it in errors.
Result<void> write_once(int fd, std::string_view text, const std::string& what);

/// mkdir -p: makes what is missing of `path`, with `mode` for each folder made.
Result<void> make_dirs(const std::string& path, mode_t mode = 0755);

/// Names in a folder, sorted, without "." and "..".
Result<std::vector<std::string>> list_dir(const std::string& path);
/// The same for a folder that is open for reading; `what` names it in errors.
Result<std::vector<std::string>> list_folder(const UniqueFd& folder, const std::string& what);

/// Removes a file or a whole tree, however deep, with a few descriptors. Follows no symlink and removes nothing through
/// a mount, of the same device neither (EXDEV). No error if it is not there.
Result<void> remove_tree(const std::string& path);
/// The same for `name` directly below `dir`.
Result<void> remove_tree_at(const UniqueFd& dir, const std::string& name);

bool exists(const std::string& path);

/// "/a/b/c" -> "/a/b"; "c" -> ".".
std::string parent_of(const std::string& path);

}  // namespace dewar
