#include "fetcher/extract/names.h"

#include <gtest/gtest.h>

namespace dewar {
namespace {

TEST(EntryPath, IsTheNameWithoutWhatMeansNothing) {
  for (const auto& [name, path] : std::vector<std::pair<std::string, std::string>>{{"a", "a"},
                                                                                   {"./a", "a"},
                                                                                   {"a//b/./c/", "a/b/c"},
                                                                                   {"./", ""},
                                                                                   {"", ""},
                                                                                   {"a\nb", "a\nb"},
                                                                                   {"\xff\xfe", "\xff\xfe"},
                                                                                   {"..a/b..", "..a/b.."},
                                                                                   {"...", "..."}}) {
    const auto got = entry_path(name, 10);
    ASSERT_TRUE(got) << name;
    EXPECT_EQ(*got, path);
  }
}

TEST(EntryPath, RefusesWhatLeadsOutOrTooDeep) {
  for (const char* name : {"/", "/a", "//a", "..", "../a", "a/..", "a/../b", "./..", "a/b/.."})
    EXPECT_FALSE(entry_path(name, 10)) << name;
  EXPECT_TRUE(entry_path("1/2/file", 2));
  EXPECT_FALSE(entry_path("1/2/3/file", 2));
}

// covers: S18
TEST(StaysInside, CountsWhatGoesUpBeforeItGoesDown) {
  for (const auto& [path, link] : std::vector<std::pair<std::string, std::string>>{
           {"l", "a"}, {"l", "./a//b"}, {"d/l", "../a"}, {"d/l", ".."}, {"l", "."}, {"a/b/l", "../../c"}, {"l", "..."}})
    EXPECT_TRUE(stays_inside(path, link)) << path << " -> " << link;
  for (const auto& [path, link] : std::vector<std::pair<std::string, std::string>>{{"l", ""},
                                                                                   {"l", "/"},
                                                                                   {"l", "/a"},
                                                                                   {"l", ".."},
                                                                                   {"l", "../a"},
                                                                                   {"d/l", "../../a"},
                                                                                   {"l", "a/.."},
                                                                                   {"d/l", "a/../.."},
                                                                                   {"d/l", ".././../a"},
                                                                                   {"d/l", "a/../b"}})
    EXPECT_FALSE(stays_inside(path, link)) << path << " -> " << link;
}

TEST(SingleName, IsTheArchivesWithoutItsSuffix) {
  EXPECT_EQ(single_name("config.json.gz"), "config.json");
  EXPECT_EQ(single_name("/a/b/disk.img.zst"), "disk.img");
  EXPECT_EQ(single_name("plain"), "plain");
  for (const char* name : {"", ".gz", "a/", "..gz", "...gz", ".."}) EXPECT_EQ(single_name(name), "data") << name;
  EXPECT_EQ(single_name(std::string(300, 'a') + ".gz"), "data");
}

TEST(Shown, IsSafeToPrint) {
  EXPECT_EQ(shown("a b"), "'a b'");
  EXPECT_EQ(shown("\x1b[2J\n\xff"), "'\\x1b[2J\\x0a\\xff'");
  EXPECT_EQ(shown("gr\xc3\xb6\xc3\x9f"
                  "e"),
            "'gr\xc3\xb6\xc3\x9f"
            "e'");
  EXPECT_LT(shown(std::string(5000, 'x')).size(), 200u);
}

}  // namespace
}  // namespace dewar
