#include "thermos/logs/archive.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "tests/logs/fake_pump.h"
#include "tests/support/temp_folder.h"

namespace dewar {
namespace {

class ArchiveTest : public testing::Test {
 protected:
  Result<Archive> open(const std::string& bytes) const {
    EXPECT_TRUE(replace_file(folder_ / "a.zst", bytes));
    return Archive::open(*open_file(folder_ / "a.zst", O_RDONLY));
  }
  TempFolder folder_;
};

std::string content() {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += "line " + std::to_string(i) + "\n";
  return text;
}

TEST_F(ArchiveTest, ReadsAtAnyPlace) {
  const std::string text = content();
  auto archive = open(packed_log({OutputStream::kStderr, 77, text.size()}, text, 1000));
  ASSERT_TRUE(archive) << archive.error().message();
  EXPECT_EQ(archive->head().position, 77u);
  for (const std::size_t at :
       {std::size_t{0}, std::size_t{999}, std::size_t{1000}, std::size_t{43210}, text.size() - 1}) {
    const auto bytes = archive->read(at);
    ASSERT_TRUE(bytes) << bytes.error().message();
    ASSERT_FALSE(bytes->empty());
    EXPECT_EQ(*bytes, text.substr(at, bytes->size()));
  }
  EXPECT_TRUE(archive->read(text.size())->empty());
}

TEST_F(ArchiveTest, AnEmptyFileIsWhole) {
  auto archive = open(packed_log({OutputStream::kStdout, 5, 0}, "", 1000));
  ASSERT_TRUE(archive) << archive.error().message();
  EXPECT_TRUE(archive->read(0)->empty());
}

TEST_F(ArchiveTest, WhatIsCutShortOrDamagedIsRefusedInWords) {
  const std::string text = content(), whole = packed_log({OutputStream::kStdout, 0, text.size()}, text, 1000);
  EXPECT_EQ(open("").error().message(), "compressed log: it has no head: Bad message");
  EXPECT_EQ(open(whole.substr(0, whole.size() - 1)).error().message(),
            "compressed log: it has no table of its frames: Bad message");
  std::string other = whole;
  other[45] = static_cast<char>(other[45] ^ 1);  // in the first frame
  auto archive = open(other);
  ASSERT_TRUE(archive);
  EXPECT_FALSE(archive->read(0));
  EXPECT_TRUE(archive->read(2000)) << "the other frames are there";
}

}  // namespace
}  // namespace dewar
