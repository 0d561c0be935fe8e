// The rules on the repository itself.
#include <gtest/gtest.h>

#include "tests/lint/coverage.h"
#include "tests/lint/rules.h"

namespace dewar::lint {
namespace {

class TreeTest : public testing::Test {
 protected:
  void SetUp() override {
    auto tree = read_tree(DEWAR_SOURCE);
    ASSERT_TRUE(tree) << tree.error().message();
    tree_ = *tree;
    ASSERT_GT(tree_.size(), 50u) << "the tree was not found at " << DEWAR_SOURCE;
  }

  static void expect_none(const std::vector<Finding>& findings) {
    for (const Finding& finding : findings) {
      ADD_FAILURE_AT(finding.path.c_str(), finding.line) << finding.message;
    }
  }

  std::vector<Source> tree_;
};

TEST_F(TreeTest, IncludesGoDownOnly) { expect_none(check_floors(tree_)); }
TEST_F(TreeTest, NoTwoModulesIncludeEachOther) { expect_none(check_cycles(tree_)); }
TEST_F(TreeTest, FilesAndFunctionsStayShort) { expect_none(check_sizes(tree_)); }
TEST_F(TreeTest, EveryAttackFaultAndLimitHasATestAndTheTablesSayWhich) { expect_none(check_coverage(tree_)); }
TEST_F(TreeTest, NoPromisesAreLeftInTheCode) { expect_none(check_promises(tree_)); }

}  // namespace
}  // namespace dewar::lint
