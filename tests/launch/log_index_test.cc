#include "isolation/log_index.h"

#include <gtest/gtest.h>

namespace dewar {
namespace {

template <std::size_t kSize>
std::string_view view(const std::array<char, kSize>& bytes) {
  return {bytes.data(), bytes.size()};
}

const IndexRecord kGap{IndexKind::kGap,           OutputStream::kStderr, GapReason::kRate,
                       1'700'000'000'123'456'789, 0x0102030405060708,    1'200'000};

TEST(LogIndex, HasTheBytesThatTheDocumentationShows) {
  std::string hex;
  for (const char c : encode_index_record(kGap)) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(c));
    hex += digits;
  }
  EXPECT_EQ(hex,
            "04020200"
            "b4c2a4d2"
            "15cd853dfe9c9717"
            "0807060504030201"
            "804f120000000000");
}

TEST(LogIndex, EveryKindComesBackAsItWas) {
  for (const IndexKind kind : {IndexKind::kHead, IndexKind::kFile, IndexKind::kData, IndexKind::kEnd}) {
    const IndexRecord record{kind, OutputStream::kStdout, GapReason::kNone, -1, ~0ull, 7};
    EXPECT_EQ(decode_index_record(view(encode_index_record(record))), record);
  }
  EXPECT_EQ(decode_index_record(view(encode_index_record(kGap))), kGap);
}

TEST(LogIndex, EachChangedBitIsSeen) {
  const auto good = encode_index_record(kGap);
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    auto bytes = good;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    EXPECT_FALSE(decode_index_record(view(bytes))) << bit;
  }
}

TEST(LogIndex, WhatIsNoKindIsNoRecordThoughItsChecksumIsRight) {
  IndexRecord record = kGap;
  record.kind = IndexKind{0};
  EXPECT_FALSE(decode_index_record(view(encode_index_record(record))));
  record.kind = IndexKind{6};
  EXPECT_FALSE(decode_index_record(view(encode_index_record(record))));
  record = kGap, record.stream = OutputStream{3};
  EXPECT_FALSE(decode_index_record(view(encode_index_record(record))));
  record = kGap, record.reason = GapReason{6};
  EXPECT_FALSE(decode_index_record(view(encode_index_record(record))));
}

TEST(LogIndex, ATornRecordIsNone) {
  const auto bytes = encode_index_record(kGap);
  for (std::size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(decode_index_record(view(bytes).substr(0, size)));
}

TEST(LogIndex, HeadOfACompressedFile) {
  const ArchiveHead head{OutputStream::kStderr, 1ull << 40, 104'857'600};
  const auto good = encode_archive_head(head);
  EXPECT_EQ(view(good).substr(0, 8), std::string_view("\x50\x2a\x4d\x18\x20\0\0\0", 8));
  EXPECT_EQ(decode_archive_head(view(good)), head);
  EXPECT_FALSE(decode_archive_head(view(good).substr(0, 39)));
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    auto bytes = good;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    EXPECT_FALSE(decode_archive_head(view(bytes))) << bit;
  }
}

}  // namespace
}  // namespace dewar
