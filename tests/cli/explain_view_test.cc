#include "agent/cli/explain_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace dewar {
namespace {

using testing::ElementsAre;

constexpr Paint kPlain{.color = false, .utf8 = false}, kSigns{.color = false, .utf8 = true};

Explanation example() {
  Explanation told;
  told.task_id = "try";
  told.state = "FAILED";
  told.cause = Cause::kMemory;
  told.sentence = "try FAILED: the memory limit of 64.0 MB was reached";
  told.chain = {"hog#0: killed for want of memory"};
  told.cards = {
      {"Memory", {{"limit met", "of the task"}, {"biggest", "60.0 MB  python3"}, {"", "3.0 MB  bash"}}, {}, {}},
      {"Last lines of stderr of hog#0", {}, {"one\x1b[31m", std::string(200, 'x')}, {}}};
  told.cards[0].memory = {{100, 0}, {101, 4 << 20}, {102, 8 << 20}};
  told.advice = {"raise resources.ram, or have the biggest use less"};
  return told;
}

TEST(ExplainView, TheSentenceComesFirstThenTheEvidenceAligned) {
  EXPECT_THAT(explanation_lines(example(), 60, kPlain),
              ElementsAre("try FAILED: the memory limit of 64.0 MB was reached",  //
                          "",                                                     //
                          "Because",                                              //
                          "  hog#0: killed for want of memory",                   //
                          "",                                                     //
                          "Memory",                                               //
                          "  limit met  of the task",                             //
                          "  biggest    60.0 MB  python3",                        //
                          "              3.0 MB  bash",                           //
                          "  last 2.0s  _-#",                                     //
                          "             0 B to 8.0 MB",                           //
                          "",                                                     //
                          "Last lines of stderr of hog#0",                        //
                          "  one?[31m",                                           //
                          "  " + std::string(57, 'x') + "~",                      //
                          "",                                                     //
                          "What to do",                                           //
                          "  > raise resources.ram, or have the biggest use less"));
}

TEST(ExplainView, NoLineIsWiderThanTheTerminalButTheSentence) {
  Explanation told = example();
  told.cards[0].rows.emplace_back("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/a/b/c/d");
  told.chain.push_back(std::string(100, 'w') + " and words after it that go on for a while, in several pieces");
  for (const std::size_t width : {40u, 60u, 80u}) {
    const auto lines = explanation_lines(told, width, kSigns);
    for (std::size_t i = 1; i < lines.size(); ++i) {
      if (!lines[i].starts_with(" ")) continue;
      EXPECT_LE(columns_of(lines[i]), width) << lines[i];
    }
  }
}

TEST(ExplainView, ASparklineIsAsHighAsItsPoints) {
  const std::vector<MemoryPoint> points{{0, 0}, {1, 50}, {2, 100}, {3, 25}};
  EXPECT_EQ(sparkline(points, 10, kSigns), "▁▄█▂");
  EXPECT_EQ(sparkline(points, 2, kSigns), "▄█") << "neighbours are put together";
  EXPECT_EQ(sparkline({}, 10, kSigns), "");
  EXPECT_EQ(sparkline({{0, 0}}, 10, kPlain), "_");
}

TEST(ExplainView, ProgramsGetOneObjectWithStableNames) {
  const auto json = nlohmann::json::parse(explanation_json(example()));
  EXPECT_EQ(json["task_id"], "try");
  EXPECT_TRUE(json["process"].is_null() && json["run"].is_null());
  EXPECT_EQ(json["state"], "FAILED");
  EXPECT_EQ(json["cause"], "memory");
  EXPECT_EQ(json["sentence"], example().sentence);
  EXPECT_EQ(json["because"], nlohmann::json({"hog#0: killed for want of memory"}));
  EXPECT_EQ(json["cards"][0]["title"], "Memory");
  EXPECT_EQ(json["cards"][0]["rows"][0], (nlohmann::json{{"name", "limit met"}, {"value", "of the task"}}));
  EXPECT_EQ(json["cards"][0]["memory"][1]["bytes"], 4 << 20);
  EXPECT_EQ(json["cards"][1]["lines"][0], "one\x1b[31m");
  EXPECT_EQ(json["advice"].size(), 1u);
}

}  // namespace
}  // namespace dewar
