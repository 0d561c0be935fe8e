#include "agent/cli/paint.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <map>

namespace dewar {
namespace {

Environment having(std::map<std::string, std::string> values) {
  return [values](const char* name) -> const char* {
    const auto found = values.find(name);
    return found == values.end() ? nullptr : found->second.c_str();
  };
}

TEST(PaintTest, ColoursAreForTerminalsThatHaveThem) {
  EXPECT_TRUE(choose_paint(ColorWish::kAuto, true, having({{"TERM", "xterm"}})).color);
  EXPECT_FALSE(choose_paint(ColorWish::kAuto, false, having({{"TERM", "xterm"}})).color);
  EXPECT_FALSE(choose_paint(ColorWish::kAuto, true, having({{"TERM", "dumb"}})).color);
  EXPECT_FALSE(choose_paint(ColorWish::kAuto, true, having({})).color);
}

TEST(PaintTest, NoColorAndForceAreObeyed) {
  EXPECT_FALSE(choose_paint(ColorWish::kAuto, true, having({{"TERM", "xterm"}, {"NO_COLOR", "1"}})).color);
  EXPECT_TRUE(choose_paint(ColorWish::kAuto, true, having({{"TERM", "xterm"}, {"NO_COLOR", ""}})).color);
  EXPECT_TRUE(choose_paint(ColorWish::kAuto, false, having({{"CLICOLOR_FORCE", "1"}})).color);
  EXPECT_FALSE(choose_paint(ColorWish::kAuto, false, having({{"CLICOLOR_FORCE", "0"}})).color);
}

TEST(PaintTest, TheOptionWinsOverTheEnvironment) {
  EXPECT_TRUE(choose_paint(ColorWish::kAlways, false, having({{"NO_COLOR", "1"}})).color);
  EXPECT_FALSE(choose_paint(ColorWish::kNever, true, having({{"CLICOLOR_FORCE", "1"}})).color);
}

TEST(PaintTest, SignsFollowTheFirstLocaleThatIsSet) {
  EXPECT_TRUE(choose_paint(ColorWish::kAuto, true, having({{"LANG", "en_GB.UTF-8"}})).utf8);
  EXPECT_FALSE(choose_paint(ColorWish::kAuto, true, having({{"LC_ALL", "C"}, {"LANG", "en_GB.UTF-8"}})).utf8);
  EXPECT_FALSE(choose_paint(ColorWish::kAuto, true, having({})).utf8);
}

TEST(PaintTest, ToneWrapsTextOnlyWithColour) {
  EXPECT_EQ((Paint{.color = true}.tone(Tone::kBad, "no")), "\x1b[31mno\x1b[0m");
  EXPECT_EQ((Paint{.color = false}.tone(Tone::kBad, "no")), "no");
}

/// What a screen's pixel shines with (WCAG 2, relative luminance), of a colour of the 6 x 6 x 6 cube.
double luminance(int color) {
  constexpr double kLevels[] = {0, 95, 135, 175, 215, 255};
  const auto linear = [&](int level) {
    const double share = kLevels[level] / 255;
    return share <= 0.03928 ? share / 12.92 : std::pow((share + 0.055) / 1.055, 2.4);
  };
  const int cube = color - 16;
  return 0.2126 * linear(cube / 36) + 0.7152 * linear(cube / 6 % 6) + 0.0722 * linear(cube % 6);
}

TEST(PaintTest, HuesCanBeReadOnBlackAndOnWhite) {
  const Paint paint{.color = true};
  EXPECT_EQ(Paint{}.hue(0, "x"), "x");
  for (std::size_t number = 0; number < 12; ++number) {
    const std::string text = paint.hue(number, "x");
    int color = 0, end = 0;
    ASSERT_EQ(std::sscanf(text.c_str(), "\x1b[38;5;%dmx\x1b[0m%n", &color, &end), 1);
    ASSERT_EQ(end, static_cast<int>(text.size()));
    ASSERT_TRUE(color >= 16 && color < 232) << color;
    constexpr double kContrast = 4;  // the best for both is 4.58
    EXPECT_GT((luminance(color) + 0.05) / 0.05, kContrast) << color;
    EXPECT_GT(1.05 / (luminance(color) + 0.05), kContrast) << color;
  }
}

TEST(PrintableTest, NothingThatSteersATerminalPasses) {
  EXPECT_EQ(printable("a\x1b[2Jb\nc\x7f"), "a?[2Jb?c?");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
            "?31m")
      << "the one-character form of ESC [";
  EXPECT_EQ(printable("\xff\xc3"), "??");
  EXPECT_EQ(printable("grün – 日本"), "grün – 日本");
  EXPECT_EQ(printable("a\u202eb"), "a?b") << "right-to-left override";
}

TEST(ColumnsTest, WideAndCombiningCharactersAreCounted) {
  EXPECT_EQ(columns_of("grün"), 4u);
  EXPECT_EQ(columns_of("日本"), 4u);
  EXPECT_EQ(columns_of("e\u0301"), 1u);
  EXPECT_EQ(columns_of(""), 0u);
}

TEST(CutTest, WhatFitsStaysWhole) { EXPECT_EQ(cut_to("abcd", 4, {}), "abcd"); }

TEST(CutTest, WhatDoesNotFitEndsInASign) {
  EXPECT_EQ(cut_to("abcde", 4, {}), "abc~");
  EXPECT_EQ(cut_to("abcde", 4, {.utf8 = true}), "abc…");
  EXPECT_EQ(cut_to("日本語", 4, {}), "日~") << "half a character is none";
  EXPECT_EQ(cut_to("abc", 0, {}), "");
}

TEST(Paint, OfANameThatIsCutTheEndStays) {
  const Paint paint{.color = false, .utf8 = true};
  EXPECT_EQ(cut_middle("worker-of-shard-17", 18, paint), "worker-of-shard-17");
  EXPECT_EQ(cut_middle("worker-of-shard-17", 12, paint), "worker-…d-17");
  EXPECT_EQ(cut_middle("worker-of-shard-17", 1, paint), "…");
  EXPECT_EQ(cut_middle("worker-of-shard-17", 0, paint), "");
  EXPECT_LE(columns_of(cut_middle("日本語日本語日本語", 8, paint)), 8u);
}

}  // namespace
}  // namespace dewar
