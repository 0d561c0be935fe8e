#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "isolation/log_index.h"

namespace dewar {

/// A compressed log file, read at any place: docs/formats.md, "Logs". Holds one frame of it, at most kMaxFrame bytes.
class Archive {
 public:
  static constexpr std::uint64_t kMaxFrame = 8u << 20;
  static constexpr std::uint32_t kMaxFrames = 1u << 20;

  /// Errors: EBADMSG with words, for what does not fit the format.
  static Result<Archive> open(UniqueFd file);

  const ArchiveHead& head() const { return head_; }
  /// What is decompressed of the content from `offset` on: not empty, and not more than one frame, unless the end is
  /// reached. Valid until the next call. Errors: EBADMSG.
  Result<std::string_view> read(std::uint64_t offset);

 private:
  struct Frame {
    std::uint64_t place, offset;  ///< where it begins in the file, and in the content
  };
  Result<void> read_table(std::uint64_t file_size);
  Result<void> load(std::size_t frame);

  UniqueFd file_;
  ArchiveHead head_;
  std::vector<Frame> frames_;  ///< and one behind the last
  std::size_t loaded_ = SIZE_MAX;
  std::string content_;
};

}  // namespace dewar
