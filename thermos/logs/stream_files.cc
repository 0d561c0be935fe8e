#include "thermos/logs/stream_files.h"

#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/files.h"

namespace dewar {
namespace {

constexpr int kMostLooks = 4000;  // while somebody goes on renaming files
constexpr int kSameLooks = 16;  // at files that nobody changes: whoever began to has been killed, or waits for the CPU
constexpr std::string_view kCompressed = ".zst";

}  // namespace

/// All files of the stream, oldest first. One that is renamed meanwhile may be there twice, or not at all.
std::vector<StreamFiles::File> StreamFiles::list() {
  std::vector<File> files;
  auto names = list_folder(*folder_, "log folder");
  names_ = names ? std::move(names).take() : std::vector<std::string>();
  for (const std::string& name : names_) {
    File file{.name = name, .compressed = name.ends_with(kCompressed)};
    const std::string_view plain = std::string_view(name).substr(0, name.size() - (file.compressed ? 4 : 0));
    const auto number = number_in(plain, file_name(stream_));
    if (!number || (file.compressed && *number == 0)) continue;
    file.number = *number;
    UniqueFd fd = open_log(*folder_, name, file.inode, file.size);
    if (!fd) continue;
    if (file.compressed) {
      const auto archive = Archive::open(std::move(fd));
      file.damaged = !archive || archive->head().stream != stream_;
      file.size = file.damaged ? 0 : archive->head().size;
      if (!file.damaged) file.start = archive->head().position;
    } else {
      // The live file is the one that the index names last. Until it does, an older record may be about a file that has
      // gone and left its inode to this one.
      const ino_t latest = starts_->latest(stream_);
      if (file.number != 0 || latest == 0 || latest == file.inode) file.start = starts_->of(stream_, file.inode);
    }
    file.told = file.start.has_value();
    files.push_back(std::move(file));
  }
  std::ranges::sort(files, [](const File& a, const File& b) {
    return a.number != b.number ? a.number > b.number : a.compressed < b.compressed;
  });
  return files;
}

/// Files of which the index does not tell are where their neighbours end or begin: a stream has no holes.
void StreamFiles::place(std::vector<File>& files) {
  std::vector<File> kept;
  for (File& file : files) {
    const bool twice = std::ranges::any_of(kept, [&](const File& other) {
      return other.inode == file.inode || (other.number == file.number && !other.damaged && !file.damaged);
    });
    if (!twice) kept.push_back(std::move(file));
  }
  files = std::move(kept);
  for (std::size_t i = 1; i < files.size(); ++i)
    if (!files[i].start && files[i - 1].start) files[i].start = *files[i - 1].start + files[i - 1].size;
  for (std::size_t i = files.size(); i-- > 1;)
    if (!files[i - 1].start && files[i].start)
      files[i - 1].start = *files[i].start - std::min(*files[i].start, files[i - 1].size);
  std::uint64_t at = 0;
  for (File& file : files) {  // nobody knows: count from the oldest
    if (!file.start) file.start = at;
    at = *file.start + file.size;
  }
  damaged_ = std::ranges::any_of(files, &File::damaged);
  std::erase_if(files, [](const File& file) { return file.damaged; });
  std::ranges::stable_sort(files, {}, [](const File& file) { return *file.start; });
}

/// No holes, and the live file is last.
bool StreamFiles::fits(const std::vector<File>& files) {
  for (std::size_t i = 0; i + 1 < files.size(); ++i)
    if (*files[i].start + files[i].size != *files[i + 1].start || files[i].number == 0) return false;
  return true;
}

/// Whether what was seen fits together: only then may something be missing from it.
bool StreamFiles::look() {
  starts_->refresh();
  files_ = list();
  const auto now = list_folder(*folder_, "log folder");
  const bool still = !now || *now == names_;  // else the oldest may have been missed under its old name
  const bool known =
      !starts_->exist() || std::ranges::all_of(files_, [](const File& file) { return file.told || file.damaged; });
  place(files_);
  return still && known && fits(files_);
}

/// Whether to look again at what does not fit together.
bool StreamFiles::Patience::again(const std::vector<File>& files) {
  ::sched_yield();
  same_ = files == last_ ? same_ + 1 : 0;
  last_ = files;
  return ++looks_ < kMostLooks && same_ < kSameLooks;
}

void StreamFiles::scan() {
  for (Patience patience; !look() && patience.again(files_);) {
  }
}

bool StreamFiles::open(const File& file) {
  if (open_inode_ == file.inode && (fd_ || archive_)) {
    open_start_ = *file.start;
    open_told_ = file.told;
    return true;
  }
  ino_t inode = 0;
  std::uint64_t size = 0;
  UniqueFd fd = open_log(*folder_, file.name, inode, size);
  if (!fd || inode != file.inode) return false;
  fd_.reset();
  archive_.reset();
  if (file.compressed) {
    auto archive = Archive::open(std::move(fd));
    if (!archive || archive->head().position != *file.start) return false;
    archive_ = std::move(archive).take();
  } else {
    fd_ = std::move(fd);
  }
  open_inode_ = inode;
  open_start_ = *file.start;
  open_told_ = file.told;
  return true;
}

std::size_t StreamFiles::read_open(std::uint64_t position, char* to, std::size_t size) {
  if (position < open_start_) return 0;
  const std::uint64_t offset = position - open_start_;
  if (archive_) {
    const auto bytes = archive_->read(offset);
    if (!bytes) {
      damaged_ = true;
      return 0;
    }
    const std::size_t part = std::min(size, bytes->size());
    if (part > 0) std::memcpy(to, bytes->data(), part);
    return part;
  }
  if (!fd_) return 0;
  const ssize_t n = retry_eintr([&] { return ::pread(fd_.get(), to, size, static_cast<off_t>(offset)); });
  if (n <= 0) return 0;
  // A file that is begun anew under its old inode is told of before it has bytes.
  starts_->refresh();
  const auto start = starts_->of(stream_, open_inode_);
  return start == open_start_ || (!start && !open_told_) ? static_cast<std::size_t>(n) : 0;
}

StreamFiles::Bytes StreamFiles::read(std::uint64_t position, char* to, std::size_t size) {
  if (const std::size_t n = read_open(position, to, size); n > 0) return {.size = n};
  for (Patience patience;;) {
    bool whole = look();
    const auto behind = std::ranges::upper_bound(files_, position, {}, [](const File& file) { return *file.start; });
    if (behind != files_.begin() && (whole || (behind - 1)->told)) {
      whole = open(*(behind - 1)) && whole;
      if (const std::size_t n = read_open(position, to, size); n > 0) return {.size = n};
    }
    if (!whole && patience.again(files_)) continue;
    if (behind == files_.end()) return {.damaged = damaged_};
    // What it has in front of the next file cannot be read, or is in no file.
    return {.resume = *behind->start, .damaged = damaged_};
  }
}

std::uint64_t StreamFiles::begin() {
  scan();
  return files_.empty() ? 0 : *files_.front().start;
}

std::uint64_t StreamFiles::end() {
  scan();
  return files_.empty() ? 0 : *files_.back().start + files_.back().size;
}

}  // namespace dewar
