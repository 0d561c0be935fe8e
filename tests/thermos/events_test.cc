#include "thermos/events.h"

#include <gtest/gtest.h>

#include "base/files.h"
#include "tests/support/temp_folder.h"

namespace dewar {
namespace {

const EventRecord kFull{1.5, "disk", "", 0, "the sandbox is full"}, kPort{2.5, "port", "web", 1, "listens on 80"};

TEST(Events, AreReadBackInTheOrderInWhichTheyCame) {
  const TempFolder run;
  ASSERT_TRUE(EventFile(run.path()).append(kFull));
  ASSERT_TRUE(EventFile(run.path()).append(kPort));
  EXPECT_EQ(read_events(run.path()), (std::vector{kFull, kPort}));
}

TEST(Events, ARunWithoutAFileHasNone) {
  const TempFolder run;
  EXPECT_TRUE(read_events(run.path()).empty());
}

TEST(Events, ATornTailIsIgnored) {
  const TempFolder run;
  ASSERT_TRUE(EventFile(run.path()).append(kFull));
  ASSERT_TRUE(EventFile(run.path()).append(kPort));
  const auto bytes = read_file(run.path() + "/events");
  ASSERT_TRUE(bytes);
  ASSERT_TRUE(replace_file(run.path() + "/events", bytes->substr(0, bytes->size() - 1)));
  EXPECT_EQ(read_events(run.path()), std::vector{kFull});
}

TEST(Events, AFullFileTakesNoMoreAndKeepsWhatItHas) {
  const TempFolder run;
  const EventFile file(run.path());
  EventRecord big = kFull;
  big.words.assign(EventFile::kMaxBytes - 100, 'x');
  ASSERT_TRUE(file.append(big));
  const auto refused = file.append(big);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, std::errc::file_too_large);
  EXPECT_EQ(read_events(run.path()), std::vector{big});
}

TEST(Events, AFolderThatIsNotThereTakesNothingAndSaysSo) {
  const auto refused = EventFile("/nonexistent").append(kFull);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("/nonexistent/events"), std::string::npos);
}

}  // namespace
}  // namespace dewar
