#include "base/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace dewar {
namespace {

Result<std::vector<std::string>> words() { return std::vector<std::string>{"one", "two"}; }

TEST(Result, WhatATemporaryHeldOutlivesItInALoop) {
  static_assert(!std::is_reference_v<decltype(*words())>, "a reference into a dead temporary");
  std::string all;
  for (const std::string& word : *words()) all += word;
  EXPECT_EQ(all, "onetwo");
}

TEST(Result, ANamedOneIsLookedAtInPlace) {
  auto held = words();
  (*held)[0] = "1";
  EXPECT_EQ(held->front(), "1");
  EXPECT_EQ(&*held, &*held);
}

TEST(Result, WhatCannotBeCopiedIsMovedOutOfATemporary) {
  const auto make = []() -> Result<std::unique_ptr<int>> { return std::make_unique<int>(7); };
  const std::unique_ptr<int> taken = *make();
  EXPECT_EQ(*taken, 7);
}

TEST(Result, ContextStandsInFrontAndTheCodeStays) {
  Result<void> failed = fail(std::errc::no_such_file_or_directory, "open x");
  const auto told = std::move(failed).context("start");
  EXPECT_EQ(told.error().message(), "start: open x: No such file or directory");
  EXPECT_EQ(told.error().code, std::errc::no_such_file_or_directory);
}

}  // namespace
}  // namespace dewar
