#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "tests/extract/archives.h"
#include "tests/extract/extract_fixture.h"

namespace dewar {
namespace {

using ::testing::Values;

const std::vector<TarEntry> kSample{
    {.name = "./", .type = '5', .mode = 0777},
    {.name = "app/", .type = '5', .mode = 0750},
    {.name = "app/run", .content = "#!/bin/sh\n", .mode = 0755},
    {.name = "app/data", .content = std::string(700'000, 'd')},
    {.name = "app/latest", .type = '2', .link = "run"},
    {.name = "app/same", .type = '1', .link = "app/run"},
};

class Formats : public ExtractTest, public ::testing::WithParamInterface<Compression> {};

TEST_P(Formats, TarInAnyCompression) {
  const auto done = unpack(packed(GetParam(), tar(kSample)));
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(done->format, GetParam() == Compression::kNone ? "tar" : "tar." + std::string(suffix_of(GetParam())));
  EXPECT_EQ(names(), (std::vector<std::string>{"app/", "app/data", "app/latest", "app/run", "app/same"}));
  EXPECT_EQ(content_of("app/data"), std::string(700'000, 'd'));
  EXPECT_EQ(content_of("app/latest"), "#!/bin/sh\n");
  EXPECT_EQ(mode_of("app"), 0750u);
  EXPECT_EQ(mode_of("app/run"), 0755u);
  EXPECT_EQ(mode_of("app/data"), 0644u);
  EXPECT_EQ(done->files, 2u);
  EXPECT_EQ(done->folders, 1u);
  EXPECT_EQ(done->symlinks, 1u);
  EXPECT_EQ(done->hard_links, 1u);
  EXPECT_EQ(done->bytes, 700'010u);
  struct stat info {};
  for (const char* path : {"app", "app/run"}) {
    ASSERT_EQ(::stat(in_target(path).c_str(), &info), 0);
    EXPECT_EQ(info.st_mtim.tv_sec, 1'600'000'000) << path;
    EXPECT_EQ(info.st_uid, ::geteuid());
  }
  EXPECT_EQ(info.st_nlink, 2u);
}

class Single : public Formats {};

TEST_P(Single, OneFileAlone) {
  const std::string content(3'000'000, 'c'), name = "disk.img." + std::string(suffix_of(GetParam()));
  const auto done = unpack(packed(GetParam(), content), name);
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(done->format, suffix_of(GetParam()));
  EXPECT_TRUE(content_of("disk.img") == content);
  ASSERT_TRUE(unpack(packed(GetParam(), ""), "empty." + std::string(suffix_of(GetParam()))));
  EXPECT_EQ(names(), (std::vector<std::string>{"disk.img", "empty"}));
}

TEST_P(Formats, CutOffAnywhereLeavesNothing) {
  const std::string archive = packed(GetParam(), tar(kSample));
  const std::size_t all = GetParam() == Compression::kNone ? archive.size() - 1024 - 512 : archive.size();
  for (std::size_t size = 1; size < all; size += all / 20 + 1) {
    EXPECT_FALSE(unpack(archive.substr(0, size))) << size;
    EXPECT_EQ(names(), std::vector<std::string>{}) << size;
  }
}

INSTANTIATE_TEST_SUITE_P(All, Single,
                         Values(Compression::kGzip, Compression::kBzip2, Compression::kXz, Compression::kZstd),
                         [](const auto& item) { return std::string(suffix_of(item.param)); });
INSTANTIATE_TEST_SUITE_P(All, Formats,
                         Values(Compression::kNone, Compression::kGzip, Compression::kBzip2, Compression::kXz,
                                Compression::kZstd),
                         [](const auto& item) { return "tar" + std::string(suffix_of(item.param)); });

TEST_F(ExtractTest, ZipWithModesAndLinks) {
  const std::string archive = zip({{.name = "d/", .mode = 040700},
                                   {.name = "d/run", .content = "x", .mode = 0100755, .deflated = true},
                                   {.name = "d/l", .content = "run", .mode = 0120777},
                                   {.name = "d/\xff\xfe", .content = "y"}});
  for (const bool pushed : {true, false}) {
    const auto done = pushed ? unpack(archive) : unpack_file(archive);
    ASSERT_TRUE(done) << done.error().message();
    EXPECT_EQ(done->format, "zip");
    EXPECT_EQ(done->bytes_in, archive.size());
    EXPECT_EQ(names(), (std::vector<std::string>{"d/", "d/l", "d/run", "d/\xff\xfe"}));
    EXPECT_EQ(content_of("d/l"), "x");
    EXPECT_EQ(mode_of("d"), 0700u);
    EXPECT_EQ(mode_of("d/run"), 0755u);
  }
}

TEST_F(ExtractTest, DamagedZip) {
  std::string archive = zip({{.name = "a", .content = std::string(5000, 'a')}, {.name = "b", .content = "b"}});
  EXPECT_FALSE(unpack(archive.substr(0, archive.size() / 2)));
  EXPECT_FALSE(unpack(zip({{.name = "a", .content = "text", .wrong_checksum = true}})));
  EXPECT_EQ(names(), std::vector<std::string>{});
}

// covers: S18
TEST_F(ExtractTest, BitsThatGiveRightsAreCut) {
  const auto done = unpack(tar({{.name = "suid", .content = "x", .mode = 06777},
                                {.name = "sticky", .type = '5', .mode = 01777},
                                {.name = "none", .content = "x", .mode = 0},
                                {.name = "shut", .type = '5', .mode = 0},
                                {.name = "shut/in", .content = "x", .mode = 0400}}));
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(mode_of("suid"), 0755u);
  EXPECT_EQ(mode_of("sticky"), 0755u);
  EXPECT_EQ(mode_of("none"), 0600u);
  EXPECT_EQ(mode_of("shut"), 0700u);
  EXPECT_EQ(mode_of("shut/in"), 0600u);
  EXPECT_EQ(done->modes_cut, 2u);
}

TEST_F(ExtractTest, TheUmaskCounts) {
  ::umask(077);
  ASSERT_TRUE(unpack(tar(kSample)));
  EXPECT_EQ(mode_of("app/run"), 0700u);
  EXPECT_EQ(mode_of("app/data"), 0600u);
}

// covers: F40
TEST_F(ExtractTest, NamesAreKeptByteForByte) {
  const std::string umlaut =
                        "gr\xc3\xb6\xc3\x9f"
                        "e",
                    latin =
                        "gr\xf6\xdf"
                        "e",
                    composed = "e\xcc\x81";
  const auto done = unpack(tar({{.name = umlaut},
                                {.name = latin},
                                {.name = composed},
                                {.name = "new\nline"},
                                {.name = "\x1b[2J"},
                                {.name = "Case"},
                                {.name = "case"},
                                {.name = " "},
                                {.name = "x", .pax = {{"path", "pax-" + umlaut}}},
                                {.name = "x", .pax = {{"path", "pax-" + latin}}},
                                {.name = "x", .pax = {{"path", std::string(200, 'p') + umlaut}}},
                                {.name = "x", .long_name = std::string(200, 'g') + latin},
                                {.name = "l", .type = '2', .link = "x", .pax = {{"linkpath", latin}}}}));
  ASSERT_TRUE(done) << done.error().message();
  std::vector<std::string> expected{umlaut,
                                    latin,
                                    composed,
                                    "new\nline",
                                    "\x1b[2J",
                                    "Case",
                                    "case",
                                    " ",
                                    "pax-" + umlaut,
                                    "pax-" + latin,
                                    std::string(200, 'p') + umlaut,
                                    std::string(200, 'g') + latin,
                                    "l"};
  std::ranges::sort(expected);
  EXPECT_EQ(names(), expected);
  char to[100] = {};
  EXPECT_GT(::readlink(in_target("l").c_str(), to, sizeof to), 0);
  EXPECT_EQ(to, latin);
}

TEST_F(ExtractTest, OfTheSameNameTheLastWins) {
  ASSERT_TRUE(unpack(tar({{.name = "a", .content = "first, and longer"},
                          {.name = "a", .content = "last"},
                          {.name = "d", .type = '5'},
                          {.name = "d", .content = "now a file"},
                          {.name = "f"},
                          {.name = "f", .type = '5'},
                          {.name = "f/in", .content = "x"},
                          {.name = "a2", .content = "shared"},
                          {.name = "b2", .type = '1', .link = "a2"},
                          {.name = "b2", .content = "own"}})));
  EXPECT_EQ(content_of("a"), "last");
  EXPECT_EQ(content_of("d"), "now a file");
  EXPECT_EQ(content_of("f/in"), "x");
  EXPECT_EQ(content_of("a2"), "shared");
  EXPECT_EQ(content_of("b2"), "own");
}

TEST_F(ExtractTest, WhatIsThereIsMergedOrReplaced) {
  ASSERT_TRUE(make_dirs(in_target("app/old")));
  ASSERT_TRUE(replace_file(in_target("app/run"), "old"));
  ASSERT_EQ(::symlink(canary().c_str(), in_target("app/data").c_str()), 0);
  const auto before = neighbours();
  const auto done = unpack(tar(kSample));
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(names(), (std::vector<std::string>{"app/", "app/data", "app/latest", "app/old/", "app/run", "app/same"}));
  EXPECT_EQ(content_of("app/run"), "#!/bin/sh\n");
  EXPECT_EQ(content_of("app/data").size(), 700'000u) << "the symlink was replaced, not followed";
  EXPECT_EQ(neighbours(), before);
}

// covers: S18
TEST_F(ExtractTest, MergesIntoNoSymlinkAndOverNoFolder) {
  ASSERT_EQ(::symlink(canary().c_str(), in_target("app").c_str()), 0);
  const auto before = neighbours();
  auto done = unpack(tar(kSample));
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().message().find("'app' is a folder in the archive and something else here"), std::string::npos)
      << done.error().message();
  EXPECT_EQ(names(), std::vector<std::string>{"app"});

  ASSERT_TRUE(make_dirs(in_target("z")));
  done = unpack(tar({{.name = "a", .content = "x"}, {.name = "z", .content = "x"}}));
  ASSERT_FALSE(done);
  EXPECT_EQ(names(), (std::vector<std::string>{"app", "z/"})) << "found before anything was moved";
  EXPECT_EQ(neighbours(), before);
}

TEST_F(ExtractTest, GivingUpLeavesNothing) {
  const std::string archive = tar(kSample);
  {
    auto extractor = Extractor::start(target(), "a.tar");
    ASSERT_TRUE(extractor);
    ASSERT_TRUE(extractor->write(archive.substr(0, archive.size() / 2)));
  }
  EXPECT_EQ(names(), std::vector<std::string>{});
}

TEST_F(ExtractTest, WhatAKilledExtractionLeftIsRemovedByTheNext) {
  ASSERT_TRUE(make_dirs(in_target(".dewar-unpack-17/deep")));
  ASSERT_TRUE(replace_file(in_target(".dewar-unpack-file"), "not a folder: not ours"));
  auto other = Extractor::start(target(), "a.tar");  // alive: must not be taken for abandoned
  ASSERT_TRUE(other);
  ASSERT_TRUE(unpack(tar({{.name = "mine", .content = "x"}})));
  ASSERT_TRUE(other->write(tar({{.name = "others", .content = "x"}})));
  ASSERT_TRUE(other->finish());
  EXPECT_EQ(names(), (std::vector<std::string>{".dewar-unpack-file", "mine", "others"}));
}

TEST_F(ExtractTest, WhoseFolderWasRemovedFails) {
  auto extractor = Extractor::start(target(), "a.tar");
  ASSERT_TRUE(extractor);
  std::string folder = names().at(0);
  folder.pop_back();  // the slash
  ASSERT_TRUE(remove_tree(in_target(folder)));
  ASSERT_TRUE(extractor->write(tar({{.name = "a", .content = "x"}})));
  EXPECT_FALSE(extractor->finish());
}

TEST_F(ExtractTest, AnErrorIsToldWhileBytesStillCome) {
  auto extractor = Extractor::start(target(), "a");
  ASSERT_TRUE(extractor);
  const std::string junk(1 << 20, 'j');
  Result<void> written;
  for (int i = 0; i < 1000 && written; ++i) written = extractor->write(junk);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().message(),
            "neither tar nor zip, nor in gzip, bzip2, xz or zstd: it begins with 'jjjjjjjj'");
  EXPECT_EQ(extractor->finish().error().message(), written.error().message());
}

TEST_F(ExtractTest, ABlockOfZerosIsWhatTheNameSays) {
  const std::string zeros(4096, '\0');
  ASSERT_TRUE(unpack(packed(Compression::kGzip, zeros), "disk.img.gz"));
  EXPECT_EQ(content_of("disk.img"), zeros) << "a disk image may begin with zeros";
  const auto done = unpack(packed(Compression::kGzip, zeros), "empty.tar.gz");
  ASSERT_TRUE(done);
  EXPECT_EQ(done->format, "tar.gz");
  EXPECT_EQ(names(), std::vector<std::string>{"disk.img"});
  EXPECT_TRUE(unpack(zeros, "empty"));
  EXPECT_EQ(unpack("").error().message(), "the archive is empty");
}

}  // namespace
}  // namespace dewar
