#include "isolation/log_index.h"

#include <cstring>

#include "base/crc32c.h"

namespace dewar {
namespace {

// Offsets in a record. All numbers are little-endian, as the machine's are.
constexpr std::size_t kStreamAt = 1, kReasonAt = 2, kCrcAt = 4, kTimeAt = 8, kPositionAt = 16, kValueAt = 24;

// Offsets in the head of a compressed file.
constexpr std::uint32_t kSkippable = 0x184D2A50;  // RFC 8878, 3.1.2
constexpr std::string_view kArchiveMagic = "DWLZ";
constexpr std::size_t kMagicAt = 8, kVersionAt = 12, kHeadStreamAt = 16, kHeadCrcAt = 20, kHeadPositionAt = 24,
                      kSizeAt = 32;
constexpr std::uint32_t kArchiveVersion = 1;

template <class T>
void put(char* bytes, std::size_t at, T value) {
  std::memcpy(bytes + at, &value, sizeof value);
}
template <class T>
T get(const char* bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes + at, sizeof value);
  return value;
}

/// The checksum of bytes whose checksum, of 4 bytes at `at`, is taken for 0.
template <std::size_t kSize>
std::uint32_t checksum(std::array<char, kSize> bytes, std::size_t at) {
  put(bytes.data(), at, std::uint32_t{0});
  return crc32c({bytes.data(), bytes.size()});
}

bool is_stream(std::uint8_t number) { return number == 1 || number == 2; }

}  // namespace

std::string_view file_name(OutputStream stream) { return stream == OutputStream::kStdout ? "stdout" : "stderr"; }

std::string_view to_words(GapReason reason) {
  switch (reason) {
    case GapReason::kNone:
      return "";
    case GapReason::kQuota:
      return "quota for output full";
    case GapReason::kRate:
      return "rate limit";
    case GapReason::kDisk:
      return "disk error";
    case GapReason::kDropped:
      return "disk too slow";
    case GapReason::kLostPump:
      return "log writer killed";
  }
  return "";
}

std::array<char, kIndexRecordSize> encode_index_record(const IndexRecord& record) {
  std::array<char, kIndexRecordSize> bytes{};
  put(bytes.data(), 0, record.kind);
  put(bytes.data(), kStreamAt, record.stream);
  put(bytes.data(), kReasonAt, record.reason);
  put(bytes.data(), kTimeAt, record.time);
  put(bytes.data(), kPositionAt, record.position);
  put(bytes.data(), kValueAt, record.value);
  put(bytes.data(), kCrcAt, checksum(bytes, kCrcAt));
  return bytes;
}

std::optional<IndexRecord> decode_index_record(std::string_view text) {
  std::array<char, kIndexRecordSize> bytes;
  if (text.size() < bytes.size()) return std::nullopt;
  std::memcpy(bytes.data(), text.data(), bytes.size());
  if (get<std::uint32_t>(bytes.data(), kCrcAt) != checksum(bytes, kCrcAt)) return std::nullopt;
  IndexRecord record;
  record.kind = get<IndexKind>(bytes.data(), 0);
  record.stream = get<OutputStream>(bytes.data(), kStreamAt);
  record.reason = get<GapReason>(bytes.data(), kReasonAt);
  record.time = get<std::int64_t>(bytes.data(), kTimeAt);
  record.position = get<std::uint64_t>(bytes.data(), kPositionAt);
  record.value = get<std::uint64_t>(bytes.data(), kValueAt);
  const bool known = record.kind >= IndexKind::kHead && record.kind <= IndexKind::kEnd &&
                     is_stream(static_cast<std::uint8_t>(record.stream)) && record.reason <= GapReason::kLostPump &&
                     bytes[kReasonAt + 1] == 0;
  if (!known) return std::nullopt;
  return record;
}

std::array<char, kArchiveHeadSize> encode_archive_head(const ArchiveHead& head) {
  std::array<char, kArchiveHeadSize> bytes{};
  put(bytes.data(), 0, kSkippable);
  put(bytes.data(), 4, static_cast<std::uint32_t>(kArchiveHeadSize - kMagicAt));
  std::memcpy(bytes.data() + kMagicAt, kArchiveMagic.data(), kArchiveMagic.size());
  put(bytes.data(), kVersionAt, kArchiveVersion);
  put(bytes.data(), kHeadStreamAt, static_cast<std::uint32_t>(head.stream));
  put(bytes.data(), kHeadPositionAt, head.position);
  put(bytes.data(), kSizeAt, head.size);
  put(bytes.data(), kHeadCrcAt, checksum(bytes, kHeadCrcAt));
  return bytes;
}

std::optional<ArchiveHead> decode_archive_head(std::string_view text) {
  std::array<char, kArchiveHeadSize> bytes;
  if (text.size() < bytes.size()) return std::nullopt;
  std::memcpy(bytes.data(), text.data(), bytes.size());
  if (get<std::uint32_t>(bytes.data(), kHeadCrcAt) != checksum(bytes, kHeadCrcAt)) return std::nullopt;
  const auto stream = get<std::uint32_t>(bytes.data(), kHeadStreamAt);
  if (stream != 1 && stream != 2) return std::nullopt;
  const ArchiveHead head{static_cast<OutputStream>(stream), get<std::uint64_t>(bytes.data(), kHeadPositionAt),
                         get<std::uint64_t>(bytes.data(), kSizeAt)};
  if (encode_archive_head(head) != bytes) return std::nullopt;  // another magic, length or version
  return head;
}

}  // namespace dewar
