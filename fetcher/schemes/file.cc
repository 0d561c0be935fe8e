// Files of this host, read with the user's own rights.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "base/files.h"
#include "fetcher/schemes/schemes.h"
#include "fetcher/uri.h"

namespace dewar {
namespace {

constexpr std::size_t kBlock = 1u << 20;

TransferResult refused(std::string words) {
  TransferResult result;
  result.end = TransferEnd::kRefused;
  result.words = std::move(words);
  return result;
}

/// Where the file really lies decides, not the links that lead to it.
bool is_allowed(int fd, const std::vector<std::string>& folders) {
  if (folders.empty()) return true;
  char name[4096];
  const ssize_t size = ::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), name, sizeof name);
  const std::string path(name, static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  return std::ranges::any_of(folders, [&](const std::string& folder) {
    return path.starts_with(folder.ends_with('/') ? folder : folder + "/");
  });
}

}  // namespace

TransferResult transfer_file(const TransferContext& context) {
  const std::string path = file_path(context.order.uri);
  if (path.empty()) return refused("it names another host; a file is of this one, file:///path");
  const auto file = open_file(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!file) return refused(file.error().message());
  struct stat info {};
  if (::fstat(file->get(), &info) != 0 || !S_ISREG(info.st_mode)) return refused(path + " is no regular file");
  if (!is_allowed(file->get(), context.config.file_folders))
    return refused(path + " lies in no folder that this host's fetch.conf opens to file://");
  const auto total = static_cast<std::uint64_t>(info.st_size);
  if (const std::string refusal = size_refusal(context.order, total); !refusal.empty()) return refused(refusal);

  TransferResult result;
  result.address = "this host";
  std::vector<char> block(kBlock);
  for (;;) {
    const ssize_t n = retry_eintr([&] { return ::read(file->get(), block.data(), block.size()); });
    if (n < 0) return refused(fail_errno("read " + path).error.message());
    if (n == 0) break;
    result.written += static_cast<std::uint64_t>(n);
    if (const std::string refusal = size_refusal(context.order, result.written); !refusal.empty())
      return refused(refusal);
    if (auto put = write_all(context.out, {block.data(), static_cast<std::size_t>(n)}, "what came"); !put)
      return refused(put.error().message());
    context.progress(result.written, std::max(total, result.written));
  }
  result.end = TransferEnd::kComplete;
  return result;
}

}  // namespace dewar
