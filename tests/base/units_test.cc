#include "base/units.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/crc32c.h"
#include "base/encoding.h"

namespace dewar {
namespace {

using namespace std::chrono_literals;

TEST(Bytes, UnitsArePowersOf1024) {
  EXPECT_EQ(*parse_bytes("17"), 17u);
  EXPECT_EQ(*parse_bytes("128MB"), 128u << 20);
  EXPECT_EQ(*parse_bytes("128 MiB"), 128u << 20);
  EXPECT_EQ(*parse_bytes("1.5GB"), 3u << 29);
  EXPECT_EQ(*parse_bytes("4K"), 4096u);
  EXPECT_EQ(*parse_bytes("1TB"), 1ull << 40);
}

TEST(Bytes, WhatIsNoSizeIsRefusedInWords) {
  for (const char* text : {"", "MB", "-1", "1 XB", "1e400", "99999999TB", "nan", "12 3", "0x10"})
    EXPECT_FALSE(parse_bytes(text)) << text;
  EXPECT_NE(parse_bytes("lots").error().message().find("'lots' is not a size"), std::string::npos);
}

TEST(Spans, UnitsAndPlainSeconds) {
  EXPECT_EQ(*parse_duration("30"), 30s);
  EXPECT_EQ(*parse_duration("500ms"), 500ms);
  EXPECT_EQ(*parse_duration("5m"), 5min);
  EXPECT_EQ(*parse_duration("2h"), 2h);
  EXPECT_EQ(*parse_duration("0.25s"), 250ms);
  EXPECT_FALSE(parse_duration("-5s"));
  EXPECT_FALSE(parse_duration("soon"));
}

TEST(Words, SizesAndSpansReadWell) {
  EXPECT_EQ(format_bytes(17), "17 B");
  EXPECT_EQ(format_bytes(128u << 20), "128.0 MB");
  EXPECT_EQ(format_bytes(1536), "1.5 KB");
  EXPECT_EQ(format_duration(3ms), "3ms");
  EXPECT_EQ(format_duration(1500ms), "1.5s");
  EXPECT_EQ(format_duration(90s), "1m30s");
  EXPECT_EQ(format_duration(26h), "1d02h");
  EXPECT_EQ(format_seconds(1.5), "1.5s");
  // Damaged records hold any number.
  for (const double odd : {-1.0, -1e300, std::nan("")}) EXPECT_EQ(format_seconds(odd), "0ms");
  for (const double odd : {1e9, 1e300, HUGE_VAL}) EXPECT_EQ(format_seconds(odd), "11574d01h");
}

TEST(Words, Rfc3339HasMicrosecondsAndCarries) {
  EXPECT_EQ(format_rfc3339(1700000000.5), "2023-11-14T22:13:20.500000Z");
  EXPECT_EQ(format_rfc3339(1699999999.9999999), "2023-11-14T22:13:20.000000Z");
  // Damaged records hold any number.
  for (const double odd : {-1.0, -1e300, std::nan("")}) EXPECT_EQ(format_rfc3339(odd), "1970-01-01T00:00:00.000000Z");
  EXPECT_EQ(format_rfc3339(1e300), "9999-12-31T23:59:59.000000Z");
}

TEST(Crc32c, MatchesTheCheckValueOfItsSpecification) {
  EXPECT_EQ(crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(crc32c(""), 0u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAu);  // RFC 3720, B.4
}

struct Sample {
  std::string name;
  std::vector<std::pair<int, std::string>> pairs;
  std::map<std::string, double> numbers;
  std::optional<Duration> wait;
  bool on = false;
  friend bool operator==(const Sample&, const Sample&) = default;
};
template <class Coder>
void code(Coder& c, Sample& v) {
  c(v.name, v.pairs, v.numbers, v.wait, v.on);
}

Sample example() { return {"näme", {{1, "a"}, {-2, ""}}, {{"x", 0.5}}, 3s, true}; }

TEST(Encoding, ValuesComeBackAsTheyWere) {
  const Sample sample = example();
  Encoder encoder;
  encoder(sample, std::uint8_t{7});
  Sample back;
  std::uint8_t seven = 0;
  Decoder decoder(encoder.bytes());
  decoder(back, seven);
  EXPECT_TRUE(decoder.complete());
  EXPECT_EQ(back, sample);
  EXPECT_EQ(seven, 7);
}

TEST(Encoding, InputCutAtAnyByteIsNoticed) {
  Encoder encoder;
  encoder(example());
  for (std::size_t size = 0; size < encoder.bytes().size(); ++size) {
    Sample back;
    Decoder decoder(std::string_view(encoder.bytes()).substr(0, size));
    decoder(back);
    EXPECT_FALSE(decoder.complete()) << size;
  }
}

TEST(Encoding, AHugeCountIsRefusedWithoutAllocating) {
  Encoder encoder;
  encoder(std::uint32_t{0xffffffff});
  std::vector<std::string> list;
  std::string text;
  Decoder as_list(encoder.bytes()), as_text(encoder.bytes());
  as_list(list);
  as_text(text);
  EXPECT_FALSE(as_list.ok());
  EXPECT_FALSE(as_text.ok());
  EXPECT_TRUE(list.empty());
}

}  // namespace
}  // namespace dewar
