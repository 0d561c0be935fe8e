#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "isolation/log_index.h"
#include "isolation/log_quota.h"

namespace dewar {

/// The index of one run's logs, as its pump writes it: `index`, with index.1 … (newest first) beside it. What cannot be
/// written is lost: it is times, never bytes. Its bytes are counted in the task's quota, and always have room.
class IndexFile {
 public:
  /// A pump that is killed may leave a gap that is larger than its records say, by less than this.
  static constexpr std::uint64_t kUntold = 4u << 20;

  /// Goes on after what an earlier pump has left. `folder` and `quota` must live as long as this does. Errors: ELOOP or
  /// EINVAL if something else than a regular file is there.
  static Result<IndexFile> open(const UniqueFd& folder, LogQuota& quota);

  /// What an earlier pump has told of a stream: where its records end, and where its files begin.
  std::uint64_t end_of(OutputStream stream) const { return ends_[place(stream)]; }
  std::optional<std::uint64_t> start_of(std::uint64_t inode) const;
  /// And is there a gap, which may be larger than it says?
  bool ends_with_gap(OutputStream stream) const { return in_gap_[place(stream)]; }

  /// From `position` on the stream is in the file `inode`.
  void file(OutputStream stream, std::uint64_t position, std::uint64_t inode);
  /// No file has bytes before `position` any more.
  void forget(OutputStream stream, std::uint64_t position);
  /// Bytes that are in the file now and were read at `time` (CLOCK_REALTIME, ns). Reads that follow each other within
  /// 1 ms make one record, which is written by the next one that does not, or flush().
  void data(OutputStream stream, std::uint64_t position, std::uint64_t length, std::int64_t time);
  /// Bytes that are not. That there is a gap is written at once, how much it has grown before its bytes are kUntold
  /// more, before others are kept again (close_gap), or by flush_gaps().
  void gap(OutputStream stream, std::uint64_t position, std::uint64_t length, GapReason reason, std::int64_t time);
  /// Bytes will be kept again. To be called before they are: a record behind the gap says that it has ended.
  void close_gap(OutputStream stream);
  void end(OutputStream stream, std::uint64_t position, std::int64_t time);
  /// Is there a record of data that is not written yet?
  bool pending() const { return data_.has_value(); }
  void flush();
  void flush_gaps();
  /// Makes the file anew if somebody has taken it away. False: somebody had.
  bool check();

 private:
  struct File {
    OutputStream stream;
    std::uint64_t position, inode;
  };
  IndexFile(int folder, LogQuota& quota) : folder_(folder), quota_(&quota) {}
  static std::size_t place(OutputStream stream) { return stream == OutputStream::kStdout ? 0 : 1; }
  Result<void> open_segment();
  void close_ranks();
  void learn();
  void learn_from(const std::string& bytes);
  void write_files();
  void append(std::string_view records);
  void rotate();
  void remove_segments();
  void write(IndexRecord record);
  void tell(IndexRecord& gap);

  int folder_;
  LogQuota* quota_;
  UniqueFd file_;
  std::uint64_t inode_ = 0, size_ = 0, number_ = 0;
  std::int64_t time_ = 0;
  std::vector<File> files_;
  std::array<std::uint64_t, 2> ends_{}, kept_{};     ///< of the records; where the oldest file that is left begins
  std::deque<std::array<std::uint64_t, 2>> closed_;  ///< where each old segment ends; the newest first
  std::optional<IndexRecord> data_;
  std::array<std::optional<IndexRecord>, 2> gaps_;  ///< that have begun; `value`: what has not been told
  std::array<bool, 2> in_gap_{};
};

}  // namespace dewar
