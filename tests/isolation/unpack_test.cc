// Archives, also evil ones. Whatever they hold, a tree beside the target stays as it is.
#include "isolation/image/unpack.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "tests/support/tar.h"
#include "tests/support/temp_folder.h"

namespace dewar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class UnpackTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    for (const char* name : {"target", "canary"}) ASSERT_TRUE(make_dirs(folder_ / name));
    ASSERT_TRUE(replace_file(folder_ / "canary/file", "canary"));
  }
  void TearDown() override {
    if (IsSkipped()) return;
    EXPECT_EQ(*read_file(folder_ / "canary/file"), "canary");
    EXPECT_THAT(*list_dir(folder_ / "canary"), ElementsAre("file"));
    EXPECT_FALSE(exists("/dewar-escaped"));
  }

  Result<Unpacked> unpack_bytes(const std::string& bytes, bool whiteouts = false, const UnpackLimits& limits = {}) {
    EXPECT_TRUE(replace_file(folder_ / "archive", bytes));
    const auto archive = open_file(folder_ / "archive", O_RDONLY);
    auto done = unpack_layer({*archive, "the archive", whiteouts}, target(), limits, count_);
    if (done) count_ = done->count;
    return done;
  }
  /// "" if it went well.
  std::string unpack(const std::vector<TarEntry>& entries, bool whiteouts = false, const UnpackLimits& limits = {}) {
    const auto done = unpack_bytes(tar(entries), whiteouts, limits);
    return done ? "" : done.error().message();
  }

  std::string target(const std::string& path = "") const { return folder_ / ("target" + path); }
  std::string content(const std::string& path) const {
    const auto text = read_file(target(path));
    return text ? *text : "(" + text.error().code.message() + ")";
  }
  struct stat info(const std::string& path) const {
    struct stat found {};
    EXPECT_EQ(::lstat(target(path).c_str(), &found), 0) << path;
    return found;
  }
  std::vector<std::string> names(const std::string& path = "") const { return *list_dir(target(path)); }
  std::string canary(const std::string& path = "") const { return folder_ / ("canary" + path); }

  TempFolder folder_;
  UnpackCount count_;
};

TEST_F(UnpackTest, AnOrdinaryTreeIsWhole) {
  const std::string name = "./etc/\xc3\xa4\xe2\x82\xac";  // ä€
  EXPECT_EQ(unpack({tar_folder("./"),
                    tar_folder("./etc", 0750),
                    {"./etc/passwd", "root\n"},
                    {name, "utf-8"},
                    {"./bin/sh", "#!", '0', "", 0755, 7, 8},
                    tar_symlink("./sh", "/bin/sh"),
                    tar_hard_link("./bin/bash", "./bin/sh"),
                    {"./fifo", "", '6'},
                    tar_folder("tmp", 01777)}),
            "");
  EXPECT_THAT(names(), ElementsAre("bin", "etc", "fifo", "sh", "tmp"));
  EXPECT_EQ(content("/etc/passwd"), "root\n");
  EXPECT_EQ(content(name.substr(1)), "utf-8");
  EXPECT_EQ(info("/etc").st_mode & 07777, 0750u);
  EXPECT_EQ(info("/tmp").st_mode & 07777, 01777u);
  EXPECT_EQ(info("/bin/sh").st_mode & 07777, 0755u);
  EXPECT_EQ(info("/bin/sh").st_uid, 7u);
  EXPECT_EQ(info("/bin/sh").st_gid, 8u);
  EXPECT_EQ(info("/bin/sh").st_mtim.tv_sec, 1'000'000'000);
  EXPECT_EQ(info("/bin/bash").st_ino, info("/bin/sh").st_ino);
  EXPECT_EQ(count_.entries, 9u);
  EXPECT_EQ(count_.bytes, 12u);
}

TEST_F(UnpackTest, NamesAreBytes) {
  const std::string latin1 = "caf\xe9", strange = "new\nline \x1b[31m";
  const std::string longer = "a/" + std::string(200, 'x') + "/\xe2\x82\xac" + std::string(150, 'y');
  EXPECT_EQ(unpack({{latin1, "1"}, {strange, "2"}, tar_pax_path(longer), {"short", "3"}}), "");
  EXPECT_EQ(content("/" + latin1), "1");
  EXPECT_EQ(content("/" + strange), "2");
  EXPECT_EQ(content("/" + longer), "3");
}

// covers: S4
TEST_F(UnpackTest, NothingLeadsOut) {
  const std::string up = "../../../../../../../../..";
  EXPECT_THAT(unpack({{"../canary/file", "evil"}}), HasSubstr("leads out of the image"));
  EXPECT_THAT(unpack({{"a/../../canary/file", "evil"}}), HasSubstr("leads out of the image"));
  EXPECT_EQ(unpack({{"/dewar-escaped", "evil"}}), "") << "an absolute path is one inside";
  EXPECT_EQ(content("/dewar-escaped"), "evil");
  EXPECT_EQ(unpack({tar_symlink("out", canary()), {"out2", "x"}}), "");
  EXPECT_THAT(unpack({{"out/file", "evil"}}), HasSubstr("make the folder of")) << "dangling inside, so nothing is made";
  EXPECT_EQ(unpack({tar_symlink("up", up), {"up/dewar-escaped", "evil"}}), "") << "'..' of the root is the root";
  EXPECT_EQ(unpack({tar_symlink("l", canary("/file")), {"l", "evil"}}), "") << "a link that is replaced, not followed";
  EXPECT_EQ(content("/l"), "evil");
  EXPECT_THAT(unpack({tar_hard_link("h", "../canary/file")}), HasSubstr("leads out"));
  EXPECT_THAT(unpack({tar_hard_link("h", canary("/file"))}), HasSubstr("no file of the image"));
  EXPECT_EQ(unpack({tar_symlink("s", canary("/file")), tar_hard_link("h", "s"), {"h", "evil"}}), "");
  EXPECT_THAT(unpack({tar_symlink("d", canary()), tar_hard_link("h2", "d/file")}), HasSubstr("no file of the image"));
}

TEST_F(UnpackTest, DevicesAreLeftOutAndSetuidBitsDropped) {
  EXPECT_EQ(unpack({{"disk", "", '3'}, {"su", "x", '0', "", 06755}, tar_folder("shared", 02775)}), "");
  EXPECT_THAT(names(), ElementsAre("shared", "su"));
  EXPECT_EQ(count_.skipped, 1u);
  EXPECT_EQ(info("/su").st_mode & 07777, 0755u);
  EXPECT_EQ(info("/shared").st_mode & 07777, 02775u);
}

TEST_F(UnpackTest, ALaterEntryReplacesAnEarlierOne) {
  EXPECT_EQ(unpack({{"a", "1"}, {"a", "2"}, tar_folder("b"), {"b/c", "1"}, {"b", "file"}, {"d", "1"}, tar_folder("d")}),
            "");
  EXPECT_EQ(content("/a"), "2");
  EXPECT_EQ(content("/b"), "file");
  EXPECT_TRUE(S_ISDIR(info("/d").st_mode));
}

TEST_F(UnpackTest, WhiteoutsTakeAwayWhatEarlierLayersMade) {
  ASSERT_EQ(unpack({{"a", "1"}, {"b", "1"}, {"d/old", "1"}, {"d/sub/old", "1"}, {"e/old", "1"}}, true), "");
  ASSERT_EQ(unpack({{".wh.a", ""},
                    {"b", "2"},
                    {".wh.b", ""},
                    {"d/new", "2"},
                    {"d/sub/new", "2"},
                    {"d/.wh..wh..opq", ""},
                    {".wh.e", ""},
                    {"e/new", "2"},
                    {".wh.nothing", ""},
                    {".wh..wh.plnk", ""}},
                   true),
            "");
  EXPECT_THAT(names(), ElementsAre("b", "d", "e"));
  EXPECT_EQ(content("/b"), "2") << "a whiteout does not reach its own layer";
  EXPECT_THAT(names("/d"), ElementsAre("new", "sub"));
  EXPECT_THAT(names("/d/sub"), ElementsAre("new"));
  EXPECT_THAT(names("/e"), ElementsAre("new"));
}

TEST_F(UnpackTest, AWhiteoutReachesNothingOutside) {
  ASSERT_EQ(unpack({tar_symlink("out", canary()), tar_symlink("up", "../../..")}, true), "");
  EXPECT_THAT(unpack({{".wh...", ""}}, true), HasSubstr("takes nothing away"));
  EXPECT_THAT(unpack({{".wh..", ""}}, true), HasSubstr("takes nothing away"));
  EXPECT_THAT(unpack({{"out/.wh.file", ""}}, true), HasSubstr("make the folder"));
  EXPECT_EQ(unpack({{"up/.wh.canary", ""}, {".wh.out", ""}}, true), "");
  EXPECT_THAT(names(), ElementsAre("up"));
}

TEST_F(UnpackTest, WithoutLayersSuchNamesAreNames) {
  ASSERT_EQ(unpack({{"a", "1"}, {".wh.a", "kept"}}), "");
  EXPECT_EQ(content("/.wh.a"), "kept");
}

TEST_F(UnpackTest, LimitsHold) {
  EXPECT_THAT(unpack({{"a", std::string(600, 'x')}, {"b", std::string(600, 'x')}}, false, {.bytes = 1000}),
              HasSubstr("more than 1000 bytes"));
  TarEntry sparse{"huge", ""};
  sparse.told_size = 077777777777;
  EXPECT_THAT(unpack({sparse}, false, {.bytes = 1u << 30}), HasSubstr("more than"));
  count_ = {};
  EXPECT_THAT(unpack({{"1", ""}, {"2", ""}, {"3", ""}}, false, {.entries = 2}), HasSubstr("more than 2 entries"));
  count_ = {};
  EXPECT_THAT(unpack({{"a/b/c/d", ""}}, false, {.depth = 3}), HasSubstr("more than 3 folders deep"));
  EXPECT_THAT(unpack({{std::string(90, 'a') + "/x", ""}, tar_pax_path(std::string(300, 'n')), {"s", ""}}),
              HasSubstr("longer than 255"));
}

TEST_F(UnpackTest, WhatIsNoArchiveOrIsCutOffIsToldInWords) {
  for (const std::string& bytes : {std::string("this is no archive"), std::string(4096, 'x')}) {
    const auto done = unpack_bytes(bytes);
    ASSERT_FALSE(done);
    EXPECT_THAT(done.error().message(), HasSubstr("the archive is no whole tar archive"));
  }
  const std::string whole = tar({{"a", std::string(5000, 'x')}});
  EXPECT_FALSE(unpack_bytes(whole.substr(0, 3000)));
}

TEST_F(UnpackTest, TheDigestIsOfAllTheBytesThatLieThere) {
  const std::string bytes = tar({{"a", "1"}}) + std::string(5u << 20, '\0') + "behind the end";
  const auto done = unpack_bytes(bytes);
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(done->sha256.size(), 64u);
  const auto other = unpack_bytes(bytes + "!");
  EXPECT_NE(done->sha256, other->sha256);
}

}  // namespace
}  // namespace dewar
