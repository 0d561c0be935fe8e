// Linked into the kernel tests: looks before and after each of them, so that nothing that one makes stays on the host.
#include <gtest/gtest.h>
#include <unistd.h>

#include <optional>

#include "tests/support/leak_check.h"

namespace dewar {
namespace {

class LeakListener : public ::testing::EmptyTestEventListener {
  void OnTestStart(const ::testing::TestInfo&) override {
    if (::geteuid() == 0) check_.emplace("dewar-test-" + std::to_string(::getpid()) + "-");
  }
  /// After the test's fixture has gone.
  void OnTestEnd(const ::testing::TestInfo&) override {
    if (check_) check_->expect_clean();
    check_.reset();
  }

  std::optional<LeakCheck> check_;
};

/// GoogleTest owns it.
[[maybe_unused]] const bool kListens = [] {
  ::testing::UnitTest::GetInstance()->listeners().Append(new LeakListener);
  return true;
}();

}  // namespace
}  // namespace dewar
