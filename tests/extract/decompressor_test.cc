#include "fetcher/extract/decompressor.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/extract/archives.h"

namespace dewar {
namespace {

/// Decodes with input and output in pieces of the given sizes.
Result<std::string> decoded(Compression compression, std::string_view bytes, std::size_t in_piece,
                            std::size_t out_piece) {
  const auto decompressor = make_decompressor(compression);
  std::string text, room(out_piece, '\0');
  std::string_view in;
  for (bool done = false; !done;) {
    if (in.empty()) {
      in = bytes.substr(0, in_piece);
      bytes.remove_prefix(in.size());
    }
    std::span<char> out(room);
    done = DEWAR_TRY(decompressor->decode(in, out, bytes.empty() && in.empty()));
    text.append(room, 0, room.size() - out.size());
  }
  return text;
}

std::string sample() {
  std::string text;
  for (unsigned i = 0; i < 60'000; ++i) text += static_cast<char>(i * i >> (i % 13));
  return text + std::string(200'000, 'z');
}

class DecompressorTest : public ::testing::TestWithParam<Compression> {};

TEST_P(DecompressorTest, GivesBackWhatWasPackedInWhateverPieces) {
  const std::string text = sample(), bytes = packed(GetParam(), text);
  EXPECT_EQ(compression_of(bytes), GetParam());
  for (const std::size_t in : {std::size_t{1}, std::size_t{7}, std::size_t{4096}, bytes.size()}) {
    for (const std::size_t out : {std::size_t{1}, std::size_t{1000}, std::size_t{1u << 20}}) {
      const auto got = decoded(GetParam(), bytes, in, out);
      ASSERT_TRUE(got) << got.error().message() << ' ' << in << ' ' << out;
      EXPECT_TRUE(*got == text) << in << ' ' << out;
    }
  }
}

TEST_P(DecompressorTest, MembersFollowEachOther) {
  const std::string text = sample();
  const std::string bytes = packed(GetParam(), text) + packed(GetParam(), "") + packed(GetParam(), "the end");
  for (const std::size_t piece : {std::size_t{1}, std::size_t{1000}, bytes.size()}) {
    const auto got = decoded(GetParam(), bytes, piece, 65536);
    ASSERT_TRUE(got) << got.error().message() << ' ' << piece;
    EXPECT_TRUE(*got == text + "the end") << piece;
  }
}

TEST_P(DecompressorTest, CutAnywhereIsAnError) {
  const std::string bytes = packed(GetParam(), "a short text, and another short text");
  for (std::size_t size = 1; size < bytes.size(); ++size) {
    const auto got = decoded(GetParam(), bytes.substr(0, size), 5, 100);
    ASSERT_FALSE(got) << size << " of " << bytes.size();
    EXPECT_NE(got.error().message().find("cut off"), std::string::npos) << got.error().message();
  }
}

TEST_P(DecompressorTest, OtherBytesBehindTheEndAreAnError) {
  const std::string bytes = packed(GetParam(), "text") + "<html>";
  EXPECT_FALSE(decoded(GetParam(), bytes, bytes.size(), 100));
  EXPECT_FALSE(decoded(GetParam(), bytes, 1, 100));
}

TEST_P(DecompressorTest, DamageIsFound) {
  const std::string text = sample(), bytes = packed(GetParam(), text);
  for (std::size_t at = 12; at < bytes.size(); at += bytes.size() / 50 + 1) {
    std::string broken = bytes;
    broken[at] = static_cast<char>(broken[at] ^ 0x10);
    EXPECT_FALSE(decoded(GetParam(), broken, 4096, 65536)) << at;
  }
}

INSTANTIATE_TEST_SUITE_P(All, DecompressorTest,
                         ::testing::Values(Compression::kGzip, Compression::kBzip2, Compression::kXz,
                                           Compression::kZstd),
                         [](const auto& item) { return std::string(suffix_of(item.param)); });

TEST(Decompressor, ZerosBehindGzipArePadding) {
  const auto got = decoded(Compression::kGzip, packed(Compression::kGzip, "text") + std::string(512, '\0'), 3, 100);
  ASSERT_TRUE(got);
  EXPECT_EQ(*got, "text");
}

// covers: F40
TEST(Decompressor, RefusesWhatAsksForTooMuchMemory) {
  // A frame header whose window is 2 GiB (exponent 21 of 31), RFC 8878 3.1.1.1.2.
  const std::string zstd("\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00", 9);
  const auto got = decoded(Compression::kZstd, zstd, 100, 100);
  ASSERT_FALSE(got);
  EXPECT_NE(got.error().message().find("memory"), std::string::npos) << got.error().message();
}

TEST(Decompressor, ToldByTheFirstBytes) {
  EXPECT_EQ(compression_of(""), Compression::kNone);
  EXPECT_EQ(compression_of("BZh"), Compression::kNone);
  EXPECT_EQ(compression_of("BZhello"), Compression::kNone);
  EXPECT_EQ(compression_of("\x1f"), Compression::kNone);
  EXPECT_EQ(compression_of(std::string("\x50\x2a\x4d\x18", 4)), Compression::kZstd) << "a skippable frame first";
}

}  // namespace
}  // namespace dewar
