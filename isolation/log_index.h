// The index beside a run's log files: what was read when, in the order in which it was read, over both streams. A file
// of records of one size, appended to by the pump alone and never changed. It is written after the bytes it speaks of:
// where it is torn, damaged or missing, times are lost, and never bytes. Byte for byte in docs/formats.md, "Logs".
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace dewar {

/// Numbered as the descriptors that the process writes to.
enum class OutputStream : std::uint8_t { kStdout = 1, kStderr = 2 };

/// The name of its file: "stdout", "stderr".
std::string_view file_name(OutputStream stream);

enum class IndexKind : std::uint8_t {
  kHead = 1,  ///< first in each segment: `position` is the segment's number in the run, from 0; `value` the version
  kFile,  ///< from `position` on the stream is in the file with inode `value`; the latest record for an inode counts
  kData,  ///< the bytes [`position`, `position` + `value`) were read at `time`, or within 1 ms after it
  kGap,   ///< at `position`, `value` bytes are missing, for `reason`; several at one position add up
  kEnd,   ///< at `position` the stream has ended: nobody will write to it any more
};

enum class GapReason : std::uint8_t {
  kNone,      ///< what is no gap
  kQuota,     ///< the task's quota for output was full
  kRate,      ///< the process wrote more than its rate limit
  kDisk,      ///< the disk was full, or gave an error
  kDropped,   ///< the disk could not keep up, and the task wants no process to wait for it
  kLostPump,  ///< the pump was killed: at most so many bytes were in its hands, perhaps none
};

/// Beside a count of bytes: "rate limit", "disk error". For kNone empty.
std::string_view to_words(GapReason reason);

/// A position is a cursor: how many bytes of the stream were kept before it since the run's start, in whatever files,
/// removed ones included. Rotation changes no position. Times are CLOCK_REALTIME in nanoseconds and never go back
/// within a run: while the clock does, the latest is repeated.
struct IndexRecord {
  IndexKind kind = IndexKind::kData;
  OutputStream stream = OutputStream::kStdout;  ///< kHead: of no meaning
  GapReason reason = GapReason::kNone;
  std::int64_t time = 0;
  std::uint64_t position = 0;
  std::uint64_t value = 0;
  friend bool operator==(const IndexRecord&, const IndexRecord&) = default;
};

inline constexpr std::size_t kIndexRecordSize = 32;
inline constexpr std::uint64_t kIndexVersion = 1;
/// A segment is closed, and renamed to `index.1`, once it is as large as this.
inline constexpr std::uint64_t kIndexSegmentSize = 1u << 20;

std::array<char, kIndexRecordSize> encode_index_record(const IndexRecord& record);
/// Nothing if the checksum is wrong, or a kind, stream or reason is none. Any bytes; those beyond the first record's
/// are ignored. A reader steps over what is no record, 32 bytes at a time, and ignores a shorter rest.
std::optional<IndexRecord> decode_index_record(std::string_view bytes);

/// What stands at the head of a compressed log file, in a skippable frame of zstd's.
struct ArchiveHead {
  OutputStream stream = OutputStream::kStdout;
  std::uint64_t position = 0;  ///< of the file's first byte
  std::uint64_t size = 0;      ///< bytes when it is decompressed
  friend bool operator==(const ArchiveHead&, const ArchiveHead&) = default;
};

inline constexpr std::size_t kArchiveHeadSize = 40;  ///< the frame's own 8 bytes included

std::array<char, kArchiveHeadSize> encode_archive_head(const ArchiveHead& head);
/// Nothing if the file does not begin with such a frame, whole and undamaged.
std::optional<ArchiveHead> decode_archive_head(std::string_view bytes);

}  // namespace dewar
