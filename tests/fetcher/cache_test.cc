#include "fetcher/cache/cache.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "base/digest.h"
#include "base/files.h"
#include "tests/support/temp_folder.h"

namespace dewar {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr uid_t kAlice = 1001, kBob = 1002;
const CacheOwner kShared{}, kAlices{kAlice};

class CacheTest : public testing::Test {
 protected:
  Cache open(std::uint64_t max = 1 << 20) {
    auto cache = Cache::open(folder / "cache", max);
    EXPECT_TRUE(cache) << cache.error().message();
    return std::move(cache).take();
  }
  static UniqueFd staged(const Cache& cache, const std::string& bytes) {
    auto file = cache.stage();
    EXPECT_TRUE(file) << file.error().message();
    EXPECT_TRUE(write_all(file->get(), bytes, "staged"));
    return std::move(file).take();
  }
  static bool keep(Cache& cache, const std::string& bytes, const CacheOwner& owner = kShared) {
    const auto kept = cache.keep(staged(cache, bytes), sha256(bytes), owner);
    EXPECT_TRUE(kept) << kept.error().message();
    return kept && *kept;
  }
  static bool holds(Cache& cache, const std::string& bytes, const CacheOwner& owner = kShared) {
    auto found = cache.find(sha256(bytes), owner);
    EXPECT_TRUE(found) << found.error().message();
    if (!found || !*found) return false;
    EXPECT_EQ(*sha256_of_file((*found)->get(), "entry"), sha256(bytes));
    return true;
  }
  TempFolder folder;
};

TEST_F(CacheTest, KeepsBytesByTheirDigestForRootAlone) {
  Cache cache = open();
  EXPECT_FALSE(holds(cache, "a"));
  EXPECT_TRUE(keep(cache, "a"));
  EXPECT_TRUE(keep(cache, "a"));  // a second one is the first one
  EXPECT_TRUE(holds(cache, "a"));
  struct stat info {};
  ASSERT_EQ(::stat((folder / "cache").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0700u);
  ASSERT_EQ(::stat((folder / "cache/blobs/shared/" + sha256("a")).c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0444u);
  EXPECT_FALSE(*cache.find("../../../../etc/passwd", kShared));
}

// covers: S20
TEST_F(CacheTest, AnothersPrivateEntryIsNotFoundByWhoKnowsItsDigest) {
  Cache cache = open();
  EXPECT_TRUE(keep(cache, "secret", kAlices));
  EXPECT_TRUE(holds(cache, "secret", kAlices));
  EXPECT_FALSE(holds(cache, "secret", {kBob}));
  EXPECT_FALSE(holds(cache, "secret"));
}

TEST_F(CacheTest, NotesAreAUsersOwn) {
  Cache cache = open();
  ASSERT_TRUE(cache.take_note(kAlice, "http://h/a", {"http://h/a", sha256("a"), "\"1\"", "", false}));
  EXPECT_EQ((*cache.note(kAlice, "http://h/a"))->etag, "\"1\"");
  EXPECT_FALSE(*cache.note(kBob, "http://h/a"));
  const auto folder_of_notes = folder / "cache/notes/1001";
  for (const std::string& name : *list_dir(folder_of_notes))
    ASSERT_TRUE(replace_file(folder_of_notes + "/" + name, "damaged"));
  EXPECT_FALSE(*cache.note(kAlice, "http://h/a"));
}

TEST_F(CacheTest, TheLongestUnusedGoesFirstAndWhatIsInUseStays) {
  Cache cache = open(30);
  const std::string a(10, 'a'), b(10, 'b'), c(10, 'c'), d(10, 'd'), huge(31, 'x');
  for (const std::string& bytes : {a, b, c}) {
    ASSERT_TRUE(keep(cache, bytes));
    ASSERT_TRUE(cache.take_note(kAlice, "http://h/" + bytes.substr(0, 1), {"http://h/", sha256(bytes), "", "", false}));
    const timespec old[2] = {{0, UTIME_OMIT}, {1'000'000 + bytes[0], 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, (folder / "cache/blobs/shared/" + sha256(bytes)).c_str(), old, 0), 0);
  }
  const auto pinned = cache.find(sha256(a), kShared);  // and used last
  const timespec older[2] = {{0, UTIME_OMIT}, {1, 0}};
  ASSERT_EQ(::futimens((**pinned).get(), older), 0);
  EXPECT_TRUE(cache.list()->back().in_use);
  EXPECT_TRUE(keep(cache, d));
  EXPECT_TRUE(holds(cache, a));
  EXPECT_FALSE(holds(cache, b));
  EXPECT_TRUE(holds(cache, c));
  EXPECT_FALSE(keep(cache, huge));
  EXPECT_TRUE(holds(cache, c));  // nothing was thrown away for what cannot fit
  const auto gone = cache.evict(0);
  ASSERT_TRUE(gone);
  EXPECT_EQ(gone->size(), 2u);
  EXPECT_FALSE(*cache.note(kAlice, "http://h/c"));  // notes of what is gone go too
  EXPECT_TRUE(*cache.note(kAlice, "http://h/a"));
  EXPECT_EQ(cache.list()->size(), 1u);
}

TEST_F(CacheTest, VerifyingRemovesWhatIsNotWhatItsNameSays) {
  Cache cache = open();
  ASSERT_TRUE(keep(cache, "good") && keep(cache, "bad"));
  const std::string path = folder / "cache/blobs/shared/" + sha256("bad");
  ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
  ASSERT_TRUE(write_all(open_file(path, O_WRONLY)->get(), "BAD", "entry"));
  const auto damaged = cache.verify();
  ASSERT_TRUE(damaged);
  ASSERT_EQ(damaged->size(), 1u);
  EXPECT_EQ(damaged->front().sha256, sha256("bad"));
  EXPECT_FALSE(holds(cache, "bad"));
  EXPECT_TRUE(holds(cache, "good"));
}

// covers: F39
TEST_F(CacheTest, WhatAnEarlierBootLeftIsReadBeforeItIsTrusted) {
  {
    Cache cache = open();
    ASSERT_TRUE(keep(cache, "whole") && keep(cache, "torn"));
  }
  const std::string torn = folder / "cache/blobs/shared/" + sha256("torn");
  ASSERT_EQ(::truncate(torn.c_str(), 2), 0);  // as a power cut leaves what was not synced
  ASSERT_TRUE(replace_file(folder / "cache/boot", "another boot"));
  Cache cache = open();
  EXPECT_FALSE(holds(cache, "torn"));
  EXPECT_TRUE(holds(cache, "whole"));
  EXPECT_EQ(cache.list()->size(), 1u);
  EXPECT_EQ(*read_file(folder / "cache/boot") == "another boot", false);
}

TEST_F(CacheTest, AFolderThatIsOpenToOthersIsRefused) {
  ASSERT_EQ(::mkdir((folder / "cache").c_str(), 0755), 0);
  EXPECT_FALSE(Cache::open(folder / "cache", 1));
}

TEST_F(CacheTest, OneDownloadsAndAnotherWaits) {
  Cache cache = open();
  const auto soon = SystemClock().now() + std::chrono::milliseconds(50);
  {
    const auto held = cache.lock(kAlice, "key", soon);
    ASSERT_TRUE(held);
    const auto second = cache.lock(kAlice, "key", SystemClock().now() + std::chrono::milliseconds(50));
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, std::errc::timed_out);
    // A user who never ends a download keeps nobody else from it.
    EXPECT_TRUE(cache.lock(kBob, "key", SystemClock().now() + std::chrono::seconds(5)));
  }
  EXPECT_TRUE(cache.lock(kAlice, "key", SystemClock().now() + std::chrono::seconds(5)));
  EXPECT_THAT(*list_dir(folder / "cache/locks"), IsEmpty());
}

/// All that changes a cache, once.
void use_everything(const std::string& folder) {
  auto cache = Cache::open(folder, 25);
  if (!cache) ::_exit(1);
  const auto lock = cache->lock(kAlice, "key", SystemClock().now() + std::chrono::seconds(5));
  for (const std::string bytes : {"0123456789", "abcdefghij", "ABCDEFGHIJ"}) {
    const auto file = cache->stage();
    if (!file || !write_all(file->get(), bytes, "staged")) ::_exit(1);
    if (!cache->keep(*file, sha256(bytes), bytes[0] == 'a' ? kAlices : kShared)) ::_exit(1);
    if (!cache->take_note(kAlice, "http://h/" + bytes, {"http://h/", sha256(bytes), "\"1\"", "", false})) ::_exit(1);
    if (!cache->find(sha256(bytes), kShared)) ::_exit(1);
  }
  if (!cache->evict(10)) ::_exit(1);
}

/// Runs use_everything() in a child that is killed at its system call number `last`. False: it was done before.
bool killed_at(const std::string& folder, int last) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    ::raise(SIGSTOP);
    use_everything(folder);
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
  for (int stops = 0;; ++stops) {  // a stop before and one behind each call: both are looked at
    if (stops == last) {
      ::kill(child, SIGKILL);
      ::waitpid(child, &status, 0);
      return true;
    }
    ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
    if (::waitpid(child, &status, 0) < 0) return false;
    if (WIFEXITED(status)) {
      EXPECT_EQ(WEXITSTATUS(status), 0);
      return false;
    }
  }
}

// covers: F39
TEST_F(CacheTest, AKillAtAnySystemCallLeavesItSound) {
  int kills = 0;
  for (int last = 1; killed_at(folder / "cache", last); ++last, ++kills) {
    Cache cache = open(25);
    EXPECT_THAT(*cache.verify(), IsEmpty()) << "killed at stop " << last;
    std::uint64_t held = 0;
    for (const CacheEntry& entry : *cache.list()) held += entry.bytes;
    EXPECT_LE(held, 25u) << "killed at stop " << last;
    // Nothing that is held hinders the next one.
    ASSERT_TRUE(keep(cache, "next")) << "killed at stop " << last;
    ASSERT_TRUE(holds(cache, "next"));
    ASSERT_TRUE(cache.lock(kAlice, "key", SystemClock().now() + std::chrono::seconds(5))) << "killed at stop " << last;
    for (const std::string bytes : {"0123456789", "abcdefghij", "ABCDEFGHIJ"})
      ASSERT_TRUE(cache.note(kAlice, "http://h/" + bytes)) << "killed at stop " << last;
    if (last % 2 == 0) {  // from nothing, and from what the last one left
      ASSERT_TRUE(remove_tree(folder / "cache"));
    }
  }
  EXPECT_GT(kills, 100);
}

}  // namespace
}  // namespace dewar
