#include "base/json_writer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/utf8.h"

namespace dewar {
namespace {

std::string written(const std::string& text) { return JsonWriter().value(text).take(); }

TEST(JsonWriter, PutsCommasBetweenItemsOnly) {
  JsonWriter json;
  json.begin_object().field("a", 1).key("b").begin_array().value(true).null().value("x").end_array();
  json.key("c").begin_object().end_object().end_object();
  EXPECT_EQ(json.take(), R"({"a":1,"b":[true,null,"x"],"c":{}})");
}

TEST(JsonWriter, IndentsByTwoWhenPretty) {
  JsonWriter json(JsonWriter::Style::kPretty);
  json.begin_object().field("a", 1).key("b").begin_array().value(2).value(3).end_array();
  json.key("none").begin_array().end_array().end_object();
  EXPECT_EQ(json.take(), "{\n  \"a\": 1,\n  \"b\": [\n    2,\n    3\n  ],\n  \"none\": []\n}");
}

TEST(JsonWriter, WritesTheLimitsOfEveryIntegerType) {
  JsonWriter json;
  json.begin_array().value(std::numeric_limits<std::int64_t>::min()).value(std::numeric_limits<std::uint64_t>::max());
  json.value(std::uint8_t{7}).end_array();
  EXPECT_EQ(json.take(), "[-9223372036854775808,18446744073709551615,7]");
}

TEST(JsonWriter, WritesAFloatSoThatItReadsBackAsAFloat) {
  JsonWriter json;
  json.begin_array().value(1.0).value(0.1).value(1e300).value(-0.5).value(std::nan("")).value(HUGE_VAL).end_array();
  EXPECT_EQ(json.take(), "[1.0,0.1,1e+300,-0.5,null,null]");
}

TEST(JsonWriter, EscapesWhatJsonDemandsAndNothingElse) {
  EXPECT_EQ(written("a\"b\\c/\n\t\r\x01\x7f"), R"("a\"b\\c/\n\t\u000d\u0001\u007f")");
  EXPECT_EQ(written(std::string("nul\0!", 5)), R"("nul\u0000!")");
  EXPECT_EQ(written("äöü 😀"), "\"äöü 😀\"");
}

TEST(JsonWriter, ReplacesEveryByteThatIsNotUtf8) {
  EXPECT_EQ(written("\xff"), "\"\xEF\xBF\xBD\"");
  EXPECT_EQ(written("\xc3"), "\"\xEF\xBF\xBD\"");
  EXPECT_EQ(written("\xed\xa0\x80"), "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"") << "a surrogate";
  EXPECT_EQ(written("\xc0\xaf!"), "\"\xEF\xBF\xBD\xEF\xBF\xBD!\"") << "an overlong slash";
}

TEST(JsonWriter, AnyBytesBecomeJsonThatAnotherParserAccepts) {
  std::string all;
  for (int i = 0; i < 65536; ++i) all += static_cast<char>(i >> 8), all += static_cast<char>(i);
  EXPECT_TRUE(nlohmann::json::accept(written(all)));
}

TEST(JsonWriter, WhatIsOnOneLineIsIndentedAsThePrettyStyleWritesIt) {
  const auto write = [](JsonWriter json) {
    json.begin_object().field("a", "x\"],{:\\").key("empty").begin_array().end_array().key("none").begin_object();
    json.end_object().key("list").begin_array().value(1).begin_object().field("b", true).end_object().value(2.5);
    return json.end_array().end_object().take();
  };
  EXPECT_EQ(indented(write(JsonWriter())), write(JsonWriter(JsonWriter::Style::kPretty)));
  EXPECT_EQ(indented(""), "");
  EXPECT_EQ(indented("]]}\"\\"), "\n]\n]\n}\"\\") << "what is no JSON harms nothing";
}

TEST(JsonWriter, IsAsNewAfterTake) {
  JsonWriter json;
  json.begin_array().value(1);
  json.take();
  EXPECT_EQ(json.value(2).take(), "2");
}

TEST(Utf8, KnowsTheFirstAndTheLastCharacterOfEverySize) {
  for (const char32_t code : {0x0, 0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF}) {
    std::string text;
    append_utf8(text, code);
    EXPECT_EQ(utf8_size(text), text.size()) << std::hex << static_cast<unsigned>(code);
    EXPECT_EQ(text.size(), code < 0x80 ? 1u : code < 0x800 ? 2u : code < 0x10000 ? 3u : 4u);
  }
}

TEST(Utf8, RefusesOverlongFormsSurrogatesAndWhatLiesBeyondUnicode) {
  for (const char* bad : {"\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf5",
                          "\x80", "\xe2\x82", "\xe2\x28\xa1"}) {
    EXPECT_EQ(utf8_size(bad), 0u) << bad;
  }
  EXPECT_EQ(utf8_size(""), 0u);
  std::string text;
  append_utf8(text, 0xD800);
  EXPECT_EQ(text, "\xEF\xBF\xBD");
}

}  // namespace
}  // namespace dewar
