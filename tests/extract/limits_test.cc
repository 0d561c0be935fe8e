// Archives that ask for too much: each limit is crossed, and met exactly.
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/extract/archives.h"
#include "tests/extract/extract_fixture.h"
#include "tests/support/own_mounts.h"

namespace dewar {
namespace {

class LimitsTest : public ExtractTest {
 protected:
  void expect_refused(const Result<ExtractReport>& done, const std::string& words) {
    ASSERT_FALSE(done);
    EXPECT_NE(done.error().message().find(words), std::string::npos) << done.error().message();
    EXPECT_EQ(names(), std::vector<std::string>{});
  }
};

class Bombs : public LimitsTest, public ::testing::WithParamInterface<Compression> {};

// covers: F40, limit extract ratio
TEST_P(Bombs, MoreThanTheRatio) {
  const std::string zeros(160u << 20, '\0');
  const std::string single = packed(GetParam(), zeros),
                    archive = packed(GetParam(), tar({{.name = "a", .content = zeros}}));
  const ExtractLimits limits{.ratio = 50};
  expect_refused(unpack(single, "zeros", limits), "more than 50 times");
  expect_refused(unpack(archive, "zeros", limits), "more than 50 times");
  const std::string few(8u << 20, '\0');
  EXPECT_TRUE(unpack(packed(GetParam(), few), "few", limits)) << "small files may be as regular as they like";
}

// covers: F40
TEST_P(Bombs, MuchBehindTheEnd) {
  const std::string archive = tar({{.name = "a", .content = "x"}});
  expect_refused(unpack(packed(GetParam(), archive + std::string(24u << 20, '\0'))), "follow the end of the archive");
  EXPECT_TRUE(unpack(packed(GetParam(), archive + std::string(1u << 20, '\0')))) << "padding to a big record";
}

INSTANTIATE_TEST_SUITE_P(All, Bombs,
                         ::testing::Values(Compression::kGzip, Compression::kBzip2, Compression::kXz,
                                           Compression::kZstd),
                         [](const auto& item) { return std::string(suffix_of(item.param)); });

// covers: F40, limit extract bytes
TEST_F(LimitsTest, Bytes) {
  const std::vector<TarEntry> entries{{.name = "a", .content = std::string(600, 'a')},
                                      {.name = "b", .content = std::string(424, 'b')}};
  expect_refused(unpack(tar(entries), "a", {.bytes = 1023}),
                 "with 'b' the files of the archive are larger than the limit of 1023 B");
  EXPECT_TRUE(unpack(tar(entries), "a", {.bytes = 1024}));
}

TEST_F(LimitsTest, BytesOfASingleFile) {
  const std::string archive = packed(Compression::kGzip, std::string(1024, 's'));
  expect_refused(unpack(archive, "s.gz", {.bytes = 1023}), "larger than the limit");
  EXPECT_TRUE(unpack(archive, "s.gz", {.bytes = 1024}));
}

TEST_F(LimitsTest, BytesOfAZip) {
  const std::string archive = zip({{.name = "a", .content = std::string(1000, 'a')}, {.name = "b", .content = "b"}});
  expect_refused(unpack(archive, "a", {.bytes = 1000}), "larger than the limit");
  EXPECT_TRUE(unpack(archive, "a", {.bytes = 1001}));
}

// covers: F40, limit extract entries
TEST_F(LimitsTest, Entries) {
  std::vector<TarEntry> entries(100, {.name = "same", .content = "x"});
  expect_refused(unpack(tar(entries), "a", {.entries = 99}), "more entries than the limit of 99");
  EXPECT_TRUE(unpack(tar(entries), "a", {.entries = 100}));
  ::unlink(in_target("same").c_str());
  expect_refused(unpack(zip({{.name = "a"}, {.name = "b"}, {.name = "c"}}), "a", {.entries = 2}), "more entries");
}

// covers: F40, limit extract depth
TEST_F(LimitsTest, Depth) {
  expect_refused(unpack(tar({{.name = "1/2/3/a"}}), "a", {.depth = 2}), "lies 3 folders deep, the limit is 2");
  EXPECT_TRUE(unpack(tar({{.name = "1/2/a"}}), "a", {.depth = 2}));
}

// covers: F40
TEST_F(LimitsTest, RatioOfAZip) {
  const std::string archive = zip({{.name = "a", .content = std::string(100u << 20, '\0'), .deflated = true}});
  expect_refused(unpack(archive, "a", {.ratio = 20}), "more than 20 times as large as the archive");
  expect_refused(unpack_file(archive, "a", {.ratio = 20}), "more than 20 times as large as the archive");
}

/// A sparse file in GNU tar's old form: one piece of 512 bytes at the end of `size` bytes.
std::string sparse_tar(std::uint64_t size) {
  TarEntry entry{.name = "sparse", .type = 'S', .content = std::string(512, 's')};
  std::string header = tar_header(entry);
  const auto number = [&](std::size_t at, std::uint64_t value) {  // base 256
    header[at] = '\x80';
    for (std::size_t i = 11; i > 0; --i, value >>= 8) header[at + i] = static_cast<char>(value);
  };
  header.replace(257, 8, std::string("ustar  \0", 8));
  number(386, size - 512);
  number(398, 512);
  number(483, size);
  fix_checksum(header);
  return header + entry.content + std::string(1024, '\0');
}

// covers: F40
TEST_F(LimitsTest, SparseFilesCountWithTheirHoles) {
  constexpr std::uint64_t kTerabyte = std::uint64_t{1} << 40;
  expect_refused(unpack(sparse_tar(kTerabyte)), "larger than the limit of 64.0 GB");
  const auto done = unpack(sparse_tar(kTerabyte), "a", {.bytes = kTerabyte});
  ASSERT_TRUE(done) << done.error().message();
  struct stat info {};
  ASSERT_EQ(::stat(in_target("sparse").c_str(), &info), 0);
  EXPECT_EQ(static_cast<std::uint64_t>(info.st_size), kTerabyte);
  EXPECT_LT(info.st_blocks, 1000) << "holes stay holes";
}

TEST_F(LimitsTest, AFullDiskLeavesTheTargetAsItWas) {
  if (::geteuid() != 0) GTEST_SKIP() << "mounting needs root";
  take_own_mounts();
  ASSERT_EQ(::mount("tmpfs", in_target("").c_str(), "tmpfs", MS_NOSUID | MS_NODEV, "size=1m"), 0);
  ASSERT_TRUE(replace_file(in_target("kept"), "kept"));
  const auto done =
      unpack(tar({{.name = "small", .content = "x"}, {.name = "big", .content = std::string(2u << 20, 'b')}}));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().message(), "write 'big': No space left on device");
  EXPECT_EQ(names(), std::vector<std::string>{"kept"});
  EXPECT_EQ(::umount(in_target("").c_str()), 0);
}

}  // namespace
}  // namespace dewar
