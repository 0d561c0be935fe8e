#include <gtest/gtest.h>

#include "thermos/logs/log_item.h"

namespace dewar {
namespace {

TEST(LogCursor, ComesBackFromItsString) {
  for (const LogCursor& cursor : {LogCursor{"serve", 0, OutputStream::kStdout, 0},
                                  LogCursor{"a b,c:d#e%ä", 4294967295u, OutputStream::kStderr, ~0ull, 0},
                                  LogCursor{"serve", 0, OutputStream::kStderr, 7, ~0ull}}) {
    const auto found = parse_cursors(to_string(cursor));
    ASSERT_TRUE(found) << found.error().message();
    EXPECT_EQ(*found, std::vector{cursor});
  }
  EXPECT_EQ(to_string({"a b", 3, OutputStream::kStderr, 12}), "a%20b#3:stderr:12");
}

TEST(LogCursor, SeveralAreAList) {
  const auto found = parse_cursors("a#0:stdout:1,b#2:stderr:3");
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 2u);
  EXPECT_EQ((*found)[1], (LogCursor{"b", 2, OutputStream::kStderr, 3}));
}

TEST(LogCursor, WhatIsNoneIsRefusedByItsName) {
  for (const char* text :
       {"", "a", "a#0", "a#0:stdout", "a#0:stdin:1", "a#0:stdout:-1", "#0:stdout:1", "a#x:stdout:1", "a%2#0:stdout:1",
        "a b#0:stdout:1", "a#0:stdout:99999999999999999999", "a#0:stdout:1,", "a#0:stdout:1:", "a#0:stdout:1:2:3"}) {
    const auto found = parse_cursors(text);
    ASSERT_FALSE(found) << text;
    EXPECT_NE(found.error().message().find("is no cursor: it looks like serve#0:stdout:1234"), std::string::npos);
  }
}

}  // namespace
}  // namespace dewar
