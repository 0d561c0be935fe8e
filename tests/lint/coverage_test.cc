#include "tests/lint/coverage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dewar::lint {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

const std::string kMark = "// covers: ";  // apart from its text, so that this file covers nothing

std::vector<Covering> read(const std::string& text, std::vector<Finding>& findings) {
  return coverings({{"tests/x/x_test.cc", text}}, findings);
}

TEST(Coverage, ATestCoversWhatStandsAboveIt) {
  std::vector<Finding> findings;
  EXPECT_THAT(read(kMark + "S5, limit pids.max\n// More words.\nTEST_F(Suite, Name) {\n", findings),
              ElementsAre(Covering{"S5", "Suite.Name", "tests/x/x_test.cc"},
                          Covering{"limit pids.max", "Suite.Name", "tests/x/x_test.cc"}));
  EXPECT_THAT(read(kMark + "F10\nTEST_P(ASuiteWithALongName,\n       AndALongName) {\n", findings),
              ElementsAre(Covering{"F10", "ASuiteWithALongName.AndALongName", "tests/x/x_test.cc"}));
  EXPECT_THAT(findings, IsEmpty());
}

TEST(Coverage, ALineAboveNoTestIsFound) {
  for (const char* below : {"int x;\n", "", "\nTEST(A, B) {\n", "TEST\n"}) {
    std::vector<Finding> findings;
    EXPECT_THAT(read(kMark + "S5\n" + below, findings), IsEmpty()) << below;
    EXPECT_THAT(findings, ElementsAre(Field(&Finding::line, 1))) << below;
  }
}

TEST(Coverage, TheTablesHaveEverySubjectAndLinkItsTests) {
  const std::string tables =
      coverage_tables({{"S5", "A.B", "tests/x.cc"}, {"S5", "A.C", "tests/x.cc"}, {"network bridge", "D.E", "t.cc"}});
  EXPECT_THAT(tables, HasSubstr("| S5 | cgroup v1's release_agent | [`A.B`](../tests/x.cc), [`A.C`](../tests/x.cc) |"));
  EXPECT_THAT(tables, HasSubstr("| F21 | a cgroup is frozen |  |"));
  EXPECT_THAT(tables, HasSubstr("| pids.max | processes and threads |  |"));
  EXPECT_THAT(tables, HasSubstr("| network bridge | [`D.E`](../t.cc) |"));
}

TEST(Coverage, CausesHaveATableOfTheirOwn) {
  const std::vector<Covering> all{{"cause crash", "A.B", "tests/x.cc"}};
  EXPECT_THAT(cause_table(all), HasSubstr("| crash | SIGSEGV, SIGBUS"));
  EXPECT_THAT(cause_table(all), HasSubstr("[`A.B`](../tests/x.cc)"));
  EXPECT_THAT(coverage_tables(all), Not(HasSubstr("crash")));
}

TEST(Coverage, WhatIsUncoveredOrStaleIsFound) {
  std::vector<Source> tree = {{"docs/sandbox.md", "# Sandbox\n"}, {"tests/x_test.cc", kMark + "S5\nTEST(A, B) {\n"}};
  const auto says = [](const std::string& words) { return Contains(Field(&Finding::message, HasSubstr(words))); };
  EXPECT_THAT(check_coverage(tree), says("has no place for the tables"));
  EXPECT_THAT(check_coverage(tree), says("S6 is covered by no test"));
  EXPECT_THAT(check_coverage(tree), says("limit pids.max is covered by no test"));
  EXPECT_THAT(check_coverage(tree), Not(says("S5 is covered")));

  std::string& document = tree[0].text;
  document += "<!-- made by tests/lint/coverage; do not edit -->\nold\n<!-- end of what was made -->\n\n## More\n";
  EXPECT_THAT(check_coverage(tree), says("not what the tests say"));
  std::vector<Finding> ignored;
  document = with_tables(document, coverage_tables(coverings(tree, ignored)));
  EXPECT_THAT(check_coverage(tree), Not(says("not what the tests say")));
  EXPECT_THAT(document, ::testing::AllOf(HasSubstr("# Sandbox\n<!--"), HasSubstr("## More"), Not(HasSubstr("old"))));
}

}  // namespace
}  // namespace dewar::lint
