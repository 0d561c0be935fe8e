// The rules on small trees that break them, one by one: a lint that cannot fail checks nothing.
#include "tests/lint/rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dewar::lint {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

auto Finds(const std::string& path, int line, const std::string& words) {
  return AllOf(Field(&Finding::path, path), Field(&Finding::line, line), Field(&Finding::message, HasSubstr(words)));
}

std::string include(const std::string& what) { return "#pragma once\n\n#include \"" + what + "\"\n"; }

std::string function_of(int lines) {
  std::string text = "int f(int a) {\n";
  for (int i = 0; i < lines - 2; ++i) text += "  a += 1;\n";
  return text + "}\n";
}

TEST(FloorsTest, AnUpwardIncludeIsFound) {
  EXPECT_THAT(check_floors({{"base/files.h", include("thermos/plan.h")}}),
              ElementsAre(Finds("base/files.h", 3, "thermos/plan.h")));
  EXPECT_THAT(check_floors({{"thermos/plan.cc", include("agent/cli/run.h")}}), SizeIs(1));
  EXPECT_THAT(check_floors({{"isolation/container.cc", include("thermos/plan.h")}}), SizeIs(1));
}

TEST(FloorsTest, DownwardIncludesAndThoseOfTheOwnRoomAreFine) {
  EXPECT_THAT(check_floors({{"agent/cli/run.cc", include("thermos/plan.h") + include("agent/cli/run.h")},
                            {"thermos/plan.cc", include("isolation/container.h")},
                            {"base/files.cc", include("base/result.h")}}),
              IsEmpty());
}

TEST(FloorsTest, TheLauncherSeesItsContractOnly) {
  EXPECT_THAT(check_floors({{"isolation/launch/child.cc", include("isolation/launch_info.h")}}), IsEmpty());
  EXPECT_THAT(check_floors({{"isolation/launch/child.cc", include("isolation/container.h")}}), SizeIs(1));
  EXPECT_THAT(check_floors({{"thermos/runner/attempt.cc", include("isolation/launch/child.h")}}), SizeIs(1));
}

TEST(FloorsTest, AnIncludeThatDoesNotStartAtTheRootIsFound) {
  EXPECT_THAT(check_floors({{"base/files.cc", include("result.h")}}), SizeIs(1));
}

TEST(FloorsTest, HeavyHeadersStayOutOfTheTinyPrograms) {
  const std::string heavy = "#include <iostream>\n";
  EXPECT_THAT(check_floors({{"thermos/runner/main.cc", heavy}}),
              ElementsAre(Finds("thermos/runner/main.cc", 1, "iostream")));
  EXPECT_THAT(check_floors({{"agent/cli/run.cc", heavy}}), IsEmpty());
}

TEST(CyclesTest, ACycleIsToldWithItsPath) {
  EXPECT_THAT(
      check_cycles(
          {{"base/a.h", include("base/b.h")}, {"base/b.cc", include("base/c.h")}, {"base/c.h", include("base/a.h")}}),
      ElementsAre(Finds("base/a", 0, "base/a -> base/b -> base/c -> base/a")));
}

TEST(CyclesTest, AModuleMayIncludeItsOwnHeaderAndShareOthers) {
  EXPECT_THAT(check_cycles({{"base/a.cc", include("base/a.h") + include("base/c.h")},
                            {"base/b.h", include("base/a.h") + include("base/c.h")}}),
              IsEmpty());
}

TEST(SizesTest, TheLimitOfAFileIsFourHundredAndFiftyLines) {
  EXPECT_THAT(check_sizes({{"base/a.h", std::string(450, '\n')}}), IsEmpty());
  EXPECT_THAT(check_sizes({{"base/a.h", std::string(451, '\n')}}), ElementsAre(Finds("base/a.h", 0, "451 lines")));
}

TEST(SizesTest, TheLimitOfAFunctionIsEightyLines) {
  EXPECT_THAT(check_sizes({{"base/a.cc", function_of(80)}}), IsEmpty());
  EXPECT_THAT(check_sizes({{"base/a.cc", "\n" + function_of(81)}}), ElementsAre(Finds("base/a.cc", 2, "81 lines")));
}

TEST(SizesTest, ALongFunctionIsFoundInsideNamespaceAndClass) {
  EXPECT_THAT(check_sizes({{"base/a.cc", "namespace x {\nclass Y {\n" + function_of(90) + "};\n}\n"}}),
              ElementsAre(Finds("base/a.cc", 3, "90 lines")));
}

TEST(SizesTest, AConstructorIsMeasuredThroughItsInitializers) {
  std::string text = "A::A() : b_{1}, c_(2) {\n";
  for (int i = 0; i < 90; ++i) text += "  f();\n";
  EXPECT_THAT(check_sizes({{"base/a.cc", text + "}\n"}}), ElementsAre(Finds("base/a.cc", 1, "92 lines")));
}

TEST(SizesTest, ALongTypeOrNamespaceIsNoFunction) {
  std::string text = "namespace x {\nstruct Y {\n";
  for (int i = 0; i < 50; ++i) text += "  int f() { return 1; }\n  int a;\n";
  EXPECT_THAT(check_sizes({{"base/a.h", text + "};\n}\n"}}), IsEmpty());
}

TEST(PromisesTest, AWordOfTheListIsFoundAsAWordOnly) {
  const std::string word = std::string("TO") + "DO";
  EXPECT_THAT(check_promises({{"docs/a.md", "fine\n- " + word + ": later\n"}}),
              ElementsAre(Finds("docs/a.md", 2, word)));
  EXPECT_THAT(check_promises({{"docs/a.md", "METHO" + word + "S\n"}}), IsEmpty());
}

TEST(BlankTest, BracesInLiteralsAndCommentsDoNotCount) {
  EXPECT_EQ(blank_literals("a(\"{\"); // {\nb('{');"), "a(   );     \nb(   );");
  EXPECT_EQ(blank_literals("R\"x({\n)x\" + 1'000;"), "     \n    + 1'000;");
  EXPECT_EQ(blank_literals("\"\\\"{\" /* { */;"), "             ;");
}

}  // namespace
}  // namespace dewar::lint
