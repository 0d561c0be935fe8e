#include "base/files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/log.h"
#include "tests/support/own_mounts.h"
#include "tests/support/temp_folder.h"

namespace dewar {
namespace {

TEST(Files, WhatIsWrittenIsRead) {
  const TempFolder temp;
  ASSERT_TRUE(replace_file(temp / "a", "one"));
  ASSERT_TRUE(replace_file(temp / "a", "two", 0600, true));
  EXPECT_EQ(*read_file(temp / "a"), "two");
  EXPECT_EQ(*list_dir(temp.path()), std::vector<std::string>{"a"});
}

TEST(Files, ErrorsNameTheFileAndTheCause) {
  const auto missing = read_file("/nonexistent/file");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message(), "open /nonexistent/file: No such file or directory");
  EXPECT_EQ(missing.error().code, std::errc::no_such_file_or_directory);
}

TEST(Files, ReadingStopsAtTheLimit) {
  const TempFolder temp;
  ASSERT_TRUE(replace_file(temp / "big", std::string(10000, 'x')));
  EXPECT_EQ(read_file(temp / "big", 9999).error().code, std::errc::file_too_large);
  EXPECT_TRUE(read_file(temp / "big", 10000));
}

TEST(Files, OpenAtDoesNotFollowALink) {
  const TempFolder temp;
  ASSERT_TRUE(replace_file(temp / "real", "x"));
  ASSERT_EQ(::symlink("real", (temp / "link").c_str()), 0);
  const auto dir = open_file(temp.path(), O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(dir);
  EXPECT_TRUE(open_at(*dir, "real", O_RDONLY));
  EXPECT_EQ(open_at(*dir, "link", O_RDONLY).error().code, std::errc::too_many_symbolic_link_levels);
}

TEST(Files, DescriptorsCloseOnExec) {
  const auto fd = open_file("/dev/null", O_RDONLY);
  ASSERT_TRUE(fd);
  EXPECT_TRUE(::fcntl(fd->get(), F_GETFD) & FD_CLOEXEC);
}

TEST(Files, MakeDirsMakesWhatIsMissing) {
  const TempFolder temp;
  ASSERT_TRUE(make_dirs(temp / "a/b/c"));
  ASSERT_TRUE(make_dirs(temp / "a/b/c/d"));
  EXPECT_TRUE(exists(temp / "a/b/c/d"));
  ASSERT_TRUE(replace_file(temp / "file", ""));
  EXPECT_FALSE(make_dirs(temp / "file/x"));
}

TEST(Files, RemoveTreeLeavesWhatALinkPointsTo) {
  const TempFolder temp;
  ASSERT_TRUE(make_dirs(temp / "doomed/deep"));
  ASSERT_TRUE(make_dirs(temp / "kept"));
  ASSERT_TRUE(replace_file(temp / "kept/file", "x"));
  ASSERT_EQ(::symlink("../kept", (temp / "doomed/link").c_str()), 0);
  ASSERT_TRUE(remove_tree(temp / "doomed"));
  EXPECT_FALSE(exists(temp / "doomed"));
  EXPECT_TRUE(exists(temp / "kept/file"));
  EXPECT_TRUE(remove_tree(temp / "doomed")) << "removing twice is no error";

  ASSERT_TRUE(make_dirs(temp / "below/deep"));
  const auto below = open_file(temp.path(), O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(below);
  for (int again = 0; again < 2; ++again) {
    const auto names = list_folder(*below, "the test's folder");
    ASSERT_TRUE(names);
    EXPECT_EQ(*names, (std::vector<std::string>{"below", "kept"}));
  }
  ASSERT_TRUE(remove_tree_at(*below, "below"));
  EXPECT_FALSE(exists(temp / "below"));
  EXPECT_TRUE(remove_tree_at(*below, "below"));
}

// covers: F34
TEST(Files, RemoveTreeGoesAsDeepAsATreeGoes) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit few{64, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  const TempFolder temp("/dev/shm");  // where thousands of folders cost no disk
  const std::string odd = "\n\xff" + std::string(253, 'd');
  UniqueFd folder = std::move(open_file(temp.path(), O_RDONLY | O_DIRECTORY)).take();
  for (int depth = 0; depth < 5000; ++depth) {
    ASSERT_EQ(::mkdirat(folder.get(), odd.c_str(), 0755), 0);
    folder.reset(::openat(folder.get(), odd.c_str(), O_RDONLY | O_DIRECTORY));
    ASSERT_TRUE(folder);
    ASSERT_TRUE(depth % 1000 != 0 || open_at(folder, "file", O_WRONLY | O_CREAT));
  }
  folder.reset();
  const auto removed = remove_tree(temp / odd);
  EXPECT_TRUE(removed) << removed.error().message();
  EXPECT_TRUE(list_dir(temp.path())->empty());
  EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
}

// covers: F41
TEST(Files, RemoveTreeRemovesNothingThroughAMount) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  take_own_mounts();
  const TempFolder temp;
  ASSERT_TRUE(make_dirs(temp / "doomed/deep/mount"));
  ASSERT_TRUE(make_dirs(temp / "kept"));
  ASSERT_TRUE(replace_file(temp / "kept/file", "x"));
  const std::string target = temp / "doomed/deep/mount";
  ASSERT_EQ(::mount((temp / "kept").c_str(), target.c_str(), nullptr, MS_BIND, nullptr), 0);
  const auto removed = remove_tree(temp / "doomed");
  EXPECT_EQ(removed.error().code, std::errc::cross_device_link) << "of the same device, and yet another mount";
  EXPECT_NE(removed.error().message().find("doomed/deep/mount: something is mounted there"), std::string::npos)
      << removed.error().message();
  EXPECT_TRUE(exists(temp / "kept/file"));
  ASSERT_EQ(::umount2(target.c_str(), MNT_DETACH), 0);
  EXPECT_TRUE(remove_tree(temp / "doomed"));
  EXPECT_TRUE(exists(temp / "kept/file"));
}

TEST(Log, ShowsControlCharactersInsteadOfSendingThem) {
  const TempFolder temp;
  Log(temp / "log").line("name \x1b[31m\nnext");
  const std::string text = *read_file(temp / "log");
  EXPECT_NE(text.find("Z name \\x1b[31m\\x0anext\n"), std::string::npos) << text;
}

}  // namespace
}  // namespace dewar
