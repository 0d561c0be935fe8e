// JSON must be read as JSON, where YAML would read something else or nothing at all.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "thermos/spec/node.h"

namespace dewar {
namespace {

Node tree(const std::string& text) {
  ParsedTree parsed = parse_json(text);
  EXPECT_TRUE(parsed.root.has_value()) << text << ": "
                                       << (parsed.complaints.empty() ? "" : parsed.complaints[0].message);
  return parsed.root ? std::move(*parsed.root) : Node{};
}

std::string text_of(const std::string& json) { return tree(json).text; }

TEST(JsonTree, ReadsEveryEscape) {
  EXPECT_EQ(text_of(R"("\"\\\/\b\f\n\r\t")"), "\"\\/\b\f\n\r\t");
  EXPECT_EQ(text_of(R"("\u0041\u00e4\u20AC")"), "Aä€");
  EXPECT_EQ(text_of(R"("\ud83d\ude00")"), "😀");
  EXPECT_EQ(text_of("\"\\u0000\""), std::string(1, '\0'));
}

TEST(JsonTree, RefusesHalfASurrogatePair) {
  for (const char* bad : {R"("\ud83d")", R"("\ude00")", R"("\ud83dx")", R"("\ud83d\n")", R"("\ud83d\ud83d")"}) {
    const ParsedTree parsed = parse_json(bad);
    ASSERT_EQ(parsed.complaints.size(), 1u) << bad;
    EXPECT_THAT(parsed.complaints[0].message, testing::HasSubstr("surrogate")) << bad;
  }
}

TEST(JsonTree, TakesTabsAndNewlinesBetweenTokensAndKnowsTheirPlaces) {
  const Node root = tree("{\t\"a\" :\r\n\t[ 1 ,\t2 ] }");
  ASSERT_NE(root.find("a"), nullptr);
  EXPECT_EQ(root.find("a")->place.line, 2);
  EXPECT_EQ(root.find("a")->place.column, 2);
  EXPECT_EQ(root.find("a")->items[1].text, "2");
  EXPECT_EQ(root.find("a")->items[1].place.column, 8);
}

TEST(JsonTree, TakesTheLastOfTwoEqualKeys) {
  const Node root = tree(R"({"a": 1, "b": 2, "a": 3})");
  EXPECT_EQ(root.items.size(), 2u);
  EXPECT_EQ(root.find("a")->text, "3");
}

TEST(JsonTree, NullIsAsGoodAsAbsent) { EXPECT_EQ(tree(R"({"a": null})").find("a"), nullptr); }

TEST(JsonTree, ReadsEveryFormOfNumberAndNothingElse) {
  for (const char* good : {"0", "-0", "10", "1.5", "-1.25e+10", "1E9", "2e-3"}) EXPECT_EQ(text_of(good), good);
  for (const char* bad : {"01", "+1", ".5", "1.", "1e", "0x10", "NaN", "Infinity", "-", "1a", "tru", "TRUE", "nulL"}) {
    EXPECT_FALSE(parse_json(bad).root.has_value()) << bad;
  }
}

TEST(JsonTree, RefusesWhatIsNotQuiteJson) {
  for (const char* bad : {"", "{", "[", "[1", "[1,]", "[,1]", "[1 2]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}",
                          "{'a':1}", "\"open", "\"tab\there\"", "\"\\x\"", "\"\\u12\"", "{} {}", "[1] x", "// c\n{}"}) {
    const ParsedTree parsed = parse_json(bad);
    EXPECT_FALSE(parsed.root.has_value()) << bad;
    EXPECT_EQ(parsed.complaints.size(), 1u) << bad;
  }
}

TEST(JsonTree, StopsAtTheLimitsOfDepthAndNumber) {
  const auto nested = [](int depth) {
    return std::string(std::size_t(depth), '[') + std::string(std::size_t(depth), ']');
  };
  EXPECT_TRUE(parse_json(nested(kMaxDepth)).root.has_value());
  EXPECT_FALSE(parse_json(nested(kMaxDepth + 1)).root.has_value());
  EXPECT_FALSE(parse_json(std::string(1u << 20, '[')).root.has_value());
  std::string many = "[1";
  for (std::size_t i = 0; i < kMaxNodes; ++i) many += ",1";
  EXPECT_THAT(parse_json(many + "]").complaints[0].message, testing::HasSubstr("more than 100000 values"));
}

}  // namespace
}  // namespace dewar
