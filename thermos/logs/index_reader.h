#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "isolation/log_index.h"

namespace dewar {

/// Beyond this no stream goes; a position that does is nonsense.
inline constexpr std::uint64_t kMostPosition = std::uint64_t{1} << 62;

/// The records of a run's index in their order, over its segments, while a pump may append and rotate. What is no
/// record is stepped over. Wherever there is none, the end is not final: more may have come when it is asked again.
class IndexReader {
 public:
  /// `folder` is the run's, open for as long as this lives. Begins with the oldest segment.
  explicit IndexReader(const UniqueFd& folder) : folder_(&folder) {}

  /// The next record, without taking it; null at the end for now. Valid until pop() or the next peek().
  const IndexRecord* peek();
  void pop() { record_.reset(); }

  /// Is there an index at all?
  bool exists() const;

  /// A segment of the index; `number` as its head says, if it has one.
  struct Segment {
    UniqueFd fd;
    ino_t inode = 0;
    std::optional<std::uint64_t> number;
  };
  /// All there are now, oldest first.
  std::vector<Segment> segments() const;
  /// Goes on with the first record of `segment`.
  void go_to(Segment segment);

 private:
  bool fill();
  bool read_more();
  bool open_next();

  const UniqueFd* folder_;
  Segment segment_;
  std::uint64_t offset_ = 0;
  std::string block_;
  std::size_t at_ = 0;
  std::optional<IndexRecord> record_;
};

/// Whole records of a segment from `offset` on, some at once; empty at its end.
std::string read_records(int fd, std::uint64_t offset);

/// Where files begin in their streams, as far as the newest segment of the index tells: it names all that are there.
class FileStarts {
 public:
  explicit FileStarts(const UniqueFd& folder) : folder_(&folder) {}
  /// Reads what has come.
  void refresh();
  /// Is there an index that could tell?
  bool exist() const { return fd_.get() >= 0; }
  std::optional<std::uint64_t> of(OutputStream stream, ino_t inode) const;
  /// The file that the stream went on with last; 0: not known.
  ino_t latest(OutputStream stream) const { return latest_[stream == OutputStream::kStderr]; }

 private:
  struct Start {
    OutputStream stream;
    std::uint64_t position;
  };
  void take_records();
  void go_on();

  const UniqueFd* folder_;
  UniqueFd fd_;  ///< the newest segment
  ino_t inode_ = 0;
  std::optional<std::uint64_t> number_;
  std::uint64_t offset_ = 0;
  std::map<ino_t, Start> starts_;
  std::array<ino_t, 2> latest_ = {0, 0};
};

/// The number of a rotated file, "stdout.12" for "stdout"; 0 for the name itself; nothing if it is another's.
std::optional<std::uint32_t> number_in(std::string_view name, std::string_view stem);

/// A regular file directly below `folder`, for reading; none, and never a wait, if it is something else.
UniqueFd open_log(const UniqueFd& folder, const std::string& name, ino_t& inode, std::uint64_t& size);

}  // namespace dewar
