#include "base/digest.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "base/files.h"
#include "tests/support/temp_folder.h"

namespace dewar {
namespace {

// The examples of FIPS 180-4.
constexpr const char* kAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr const char* kAbc512 =
    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a"
    "9ac9"
    "4fa54ca49f";

TEST(Digest, OfTheStandardsExamples) {
  EXPECT_EQ(sha256("abc"), kAbc);
  EXPECT_EQ(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  Digest sha512(Digest::Kind::kSha512);
  for (const char* piece : {"a", "", "bc"}) sha512.add(piece);
  EXPECT_EQ(sha512.finish(), kAbc512);
}

TEST(Digest, OfAFileFromItsBeginningWhereverItsOffsetIs) {
  const TempFolder folder;
  ASSERT_TRUE(replace_file(folder / "abc", "abc"));
  const auto file = open_file(folder / "abc", O_RDONLY);
  ASSERT_EQ(::lseek(file->get(), 2, SEEK_SET), 2);
  EXPECT_EQ(*sha256_of_file(file->get(), "abc"), kAbc);
  EXPECT_EQ(::lseek(file->get(), 0, SEEK_CUR), 2);
  const auto folder_itself = open_file(folder.path(), O_RDONLY);
  EXPECT_FALSE(sha256_of_file(folder_itself->get(), "it"));
}

}  // namespace
}  // namespace dewar
