// Input made to hurt ends in words: no crash, no exception, no endless work. That each test ends at all is part of what
// it says (ctest's time limit stands behind it).
#include "tests/spec/reading.h"

namespace dewar {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::string repeated(std::string_view piece, std::size_t bytes) {
  std::string text;
  while (text.size() + piece.size() <= bytes) text += piece;
  return text;
}
constexpr std::size_t kFull = 1u << 20;

TEST(HostileInput, LargerThanTheLimitIsNotEvenRead) {
  EXPECT_THAT(complaints_of(std::string(kFull + 1, ' ')), ElementsAre(HasSubstr("larger than 1 MiB")));
}

TEST(HostileInput, NestedAsDeepAsTheFileIsLongIsRefused) {
  for (const char* piece : {"[", "{a: ", "- ", "? ", "[[], ", "{? ", "{\"a\":", "[{", "a: {b: [", "- - ? "}) {
    EXPECT_THAT(complaints_of(repeated(piece, kFull)), ElementsAre(Not(IsEmpty()))) << piece;
  }
  EXPECT_THAT(complaints_of("a: " + repeated("[", 1000)), ElementsAre(HasSubstr("nested deeper than 32 levels")));
}

TEST(HostileInput, OfAMillionSmallThingsIsRefused) {
  EXPECT_THAT(complaints_of("[" + repeated("a,", kFull - 10) + "]"), ElementsAre(HasSubstr("more than 100000 values")));
  EXPECT_THAT(complaints_of("{\"a\": [" + repeated("1,", kFull - 20) + "1]}"),
              ElementsAre(HasSubstr("more than 100000 values")));
}

TEST(HostileInput, AnAliasBombDoesNotGoOff) {
  std::string text = "a0: &a0 [x, x]\n";
  for (int i = 1; i < 30; ++i) {
    const std::string last = "*a" + std::to_string(i - 1);
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + last + ", " + last + "]\n";
  }
  EXPECT_THAT(complaints_of(text), ElementsAre(HasSubstr("aliases")));
}

TEST(HostileInput, AReferenceBombDoesNotGoOff) {
  const auto doubling = [](const std::string& seed) {
    std::string text = "vars:\n  v0: '" + seed + "'\n";
    for (int i = 1; i < 90; ++i) {
      const std::string last = "{{v" + std::to_string(i - 1) + "}}";
      text += "  v" + std::to_string(i) + ": '" + last + last + "'\n";
    }
    return text + "processes: [{name: p, cmdline: 'true {{v89}}'}]\n";
  };
  EXPECT_THAT(complaints_of(doubling("x")), testing::Contains(HasSubstr("the text grows beyond")));
  EXPECT_THAT(complaints_of(doubling("")), IsEmpty()) << "2^90 times nothing, each filled in once";
}

TEST(HostileInput, ManyTextsWithManyReferencesRunOutOfBudget) {
  const std::string big = repeated("{{thermos.user}} ", 60'000);
  std::string text = "vars: {big: '" + big + "'}\nprocesses:\n";
  for (int i = 0; i < 8000; ++i) text += "- {name: p" + std::to_string(i) + ", cmdline: '{{big}}{{big}}'}\n";
  EXPECT_THAT(complaints_of(text), testing::Contains(HasSubstr("takes too much work")));
}

TEST(HostileInput, OfManyMistakesInOneTextTheFirstAreTold) {
  const std::string text = "processes: [{name: p, cmdline: '" + repeated("{{x}}{{y}}", 120'000) + "'}]\n";
  EXPECT_THAT(complaints_of(text), testing::SizeIs(2)) << "each once";
  std::string different = "processes: [{name: p, cmdline: '";
  for (int i = 0; i < 10'000; ++i) different += "{{x" + std::to_string(i) + "}}";
  EXPECT_THAT(complaints_of(different + "'}]\n"), testing::SizeIs(20));
}

TEST(HostileInput, ComplaintsAreToldUpToALimit) {
  std::string text = "processes:\n";
  for (int i = 0; i < 5000; ++i) text += "- {nam: x}\n";
  const auto all = complaints_of(text);
  ASSERT_EQ(all.size(), 101u);
  EXPECT_THAT(all.back(), HasSubstr("more"));
}

TEST(HostileInput, BytesThatAreNoTextAreRefusedWithTheirPlace) {
  EXPECT_THAT(complaints_of("name: x\nuser: a\xff\n"), ElementsAre("2:8: not UTF-8; save the file as UTF-8"));
  EXPECT_THAT(complaints_of(std::string("name: ä\0", 9)),
              ElementsAre("1:8: a control character; is this a text file?"));
  EXPECT_THAT(complaints_of("\xff\xfe"
                            "a"),
              ElementsAre(HasSubstr("not UTF-8")));
}

TEST(HostileInput, OddYamlEndsInWords) {
  for (const char* text : {"%YAML 9.9\n---\na",
                           "%TAG ! x\n",
                           "--- !!binary x",
                           "*a",
                           "&a",
                           "!",
                           "!<x> y",
                           "? ",
                           ":",
                           "- : -",
                           "\"\\xZZ\"",
                           "\"\\U00110000\"",
                           "|9\n x",
                           ">-+\n",
                           "'",
                           "\"",
                           "{",
                           "a: [b",
                           "<<: {a: b}",
                           "@",
                           "`",
                           "...",
                           "---\n...\n---\n",
                           "a:\n  - b\n c",
                           "{a, b, c}",
                           "[a: b, c: d]",
                           "? [a]\n: b"}) {
    EXPECT_THAT(complaints_of(text), Not(IsEmpty())) << text;
  }
}

}  // namespace
}  // namespace dewar
