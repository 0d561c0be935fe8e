// The counter against a plain walk over the same folders, whatever happens to them.
#include "isolation/disk/disk_counter.h"

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <map>
#include <random>

#include "tests/support/temp_folder.h"

namespace dewar {
namespace {

namespace fs = std::filesystem;

/// What du(1) would say, and the number of names.
DiskUsage walk(const std::string& root) {
  DiskUsage usage;
  std::map<ino_t, bool> seen;
  const auto add = [&](const fs::path& path) {
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) return;
    ++usage.inodes;
    if (!std::exchange(seen[info.st_ino], true)) usage.bytes += static_cast<std::uint64_t>(info.st_blocks) * 512;
  };
  add(root);
  for (const auto& entry : fs::recursive_directory_iterator(root)) add(entry.path());
  return usage;
}

class DiskCounterTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(make_dirs(root())); }
  std::string root() const { return folder_ / "sandbox"; }
  std::string at(const std::string& name) const { return root() + "/" + name; }
  DiskCounter open(bool watched = true) {
    auto counter = DiskCounter::open({{root(), watched}});
    EXPECT_TRUE(counter) << counter.error().message();
    DiskCounter made = std::move(counter).take();
    finish(made);
    return made;
  }
  void finish(DiskCounter& counter) { EXPECT_FALSE(counter.work(clock_, clock_.now() + std::chrono::hours(1))); }
  void look(DiskCounter& counter) {
    counter.read_changes();
    finish(counter);
  }
  void write(const std::string& name, std::size_t bytes) const {
    const auto fd = open_file(at(name), O_WRONLY | O_CREAT | O_APPEND);
    ASSERT_TRUE(fd) << fd.error().message();
    ASSERT_TRUE(write_all(fd->get(), std::string(bytes, 'x'), name));
  }
  static bool told(const DiskCounter& counter) {
    pollfd changes{counter.changes(), POLLIN, 0};
    return ::poll(&changes, 1, 0) == 1;
  }

  SystemClock clock_;
  TempFolder folder_;
};

TEST_F(DiskCounterTest, CountsWhatAWalkCounts) {
  ASSERT_TRUE(make_dirs(at("a/b/c")));
  ASSERT_TRUE(make_dirs(at("d")));
  write("file", 10'000);
  write("a/b/c/deep", 100'000);
  write("d/empty", 0);
  ASSERT_EQ(::symlink("/usr", at("a/link").c_str()), 0);
  ASSERT_EQ(::mkfifo(at("d/fifo").c_str(), 0600), 0);
  EXPECT_EQ(open().usage(), walk(root()));
}

// covers: F33
TEST_F(DiskCounterTest, AnUnchangedTreeIsLeftAlone) {
  ASSERT_TRUE(make_dirs(at("a/b")));
  write("a/b/file", 100);
  DiskCounter counter = open();
  (void)read_file(at("a/b/file"));
  (void)list_dir(at("a"));
  EXPECT_FALSE(told(counter)) << "reading is no change";
  EXPECT_FALSE(counter.has_work());
}

TEST_F(DiskCounterTest, AFileThatGrowsInPlaceIsNoticed) {
  write("file", 10);
  DiskCounter counter = open();
  write("file", 1 << 20);
  ASSERT_TRUE(told(counter));
  look(counter);
  EXPECT_EQ(counter.usage(), walk(root()));
  EXPECT_GT(counter.usage().bytes, 1u << 20);
  write("file", 1 << 20);
  ASSERT_TRUE(told(counter)) << "a watch that has told is set again";
  look(counter);
  EXPECT_GT(counter.usage().bytes, 2u << 20);
}

TEST_F(DiskCounterTest, ABusyWriterTellsOncePerLook) {
  DiskCounter counter = open();
  for (int n = 0; n < 1000; ++n) write(n % 2 == 0 ? "even" : "odd", 100);
  int queued = 0;
  ASSERT_EQ(::ioctl(counter.changes(), FIONREAD, &queued), 0);
  EXPECT_LT(queued, 200) << "bytes in the queue of inotify";
}

TEST_F(DiskCounterTest, FollowsEveryChangeOfARandomTree) {
  std::mt19937 random(4711);
  std::vector<std::string> folders{""};
  const auto any = [&](std::size_t n) { return random() % n; };
  DiskCounter counter = open();
  for (int round = 0; round < 150; ++round) {
    for (int step = 0; step < 20; ++step) {
      const std::string folder = folders[any(folders.size())], name = folder + "/" + std::to_string(any(10));
      std::error_code ignored;
      switch (any(7)) {
        case 0:
        case 1:
          if (fs::create_directory(at(name + "d"), ignored)) folders.push_back(name + "d");
          break;
        case 2:
        case 3:
          if (fs::exists(at(folder))) write(name, any(50'000));
          break;
        case 4:
          fs::remove(at(name), ignored);
          break;
        case 5:
          if (folder.empty() || any(3) != 0) break;
          fs::remove_all(at(folder), ignored);
          std::erase_if(folders, [&](const auto& f) { return !fs::exists(at(f)); });
          break;
        case 6: {
          const std::string to = folders[any(folders.size())] + "/moved" + std::to_string(step);
          fs::rename(at(folder), at(to), ignored);
          folders = {""};
          for (const auto& entry : fs::recursive_directory_iterator(root()))
            if (entry.is_directory()) folders.push_back(entry.path().string().substr(root().size()));
        }
      }
      if (any(4) == 0) counter.work(clock_, clock_.now());  // in the middle of it all
    }
    look(counter);
    ASSERT_EQ(counter.usage(), walk(root())) << "round " << round;
  }
}

TEST_F(DiskCounterTest, AMovedTreeKeepsWhatIsKnownOfIt) {
  ASSERT_TRUE(make_dirs(at("a/tree/with/folders")));
  ASSERT_TRUE(make_dirs(at("b")));
  write("a/tree/with/folders/file", 1 << 20);
  DiskCounter counter = open();
  ASSERT_EQ(::rename(at("a/tree").c_str(), at("b/tree").c_str()), 0);
  look(counter);
  EXPECT_EQ(counter.usage(), walk(root()));
  EXPECT_EQ(counter.biggest(1).front().path, "b/tree/with/folders");
  write("b/tree/with/folders/file", 1 << 20);
  look(counter);
  EXPECT_EQ(counter.usage(), walk(root()));
}

TEST_F(DiskCounterTest, FoldersThatChangePlacesAreNoCircle) {
  ASSERT_TRUE(make_dirs(at("a/b/c")));
  write("a/b/c/file", 5000);
  DiskCounter counter = open();
  ASSERT_EQ(::rename(at("a/b").c_str(), at("b").c_str()), 0);
  ASSERT_EQ(::rename(at("a").c_str(), at("b/c/a").c_str()), 0);
  look(counter);
  EXPECT_EQ(counter.usage(), walk(root()));
}

TEST_F(DiskCounterTest, AHardLinkCountsOnce) {
  write("file", 1 << 20);
  for (int n = 0; n < 10; ++n) ASSERT_EQ(::link(at("file").c_str(), at("link" + std::to_string(n)).c_str()), 0);
  const DiskCounter counter = open();
  EXPECT_NEAR(static_cast<double>(counter.usage().bytes), static_cast<double>(walk(root()).bytes), 20);
  EXPECT_EQ(counter.usage().inodes, 12u);
}

TEST_F(DiskCounterTest, ALinkFromAnotherFolderIsSetRightByALap) {
  ASSERT_TRUE(make_dirs(at("a")));
  ASSERT_TRUE(make_dirs(at("b")));
  write("a/file", 1 << 20);
  DiskCounter counter = open();
  ASSERT_EQ(::link(at("a/file").c_str(), at("b/file").c_str()), 0);
  look(counter);
  counter.begin_lap();
  finish(counter);
  EXPECT_EQ(counter.laps(), 1u);
  EXPECT_EQ(counter.usage(), walk(root()));
}

TEST_F(DiskCounterTest, AHoleCostsNothingUntilItIsFilled) {
  const auto file = open_file(at("file"), O_RDWR | O_CREAT);
  ASSERT_EQ(::ftruncate(file->get(), 64 << 20), 0);
  DiskCounter counter = open();
  EXPECT_LT(counter.usage().bytes, 1u << 20);
  EXPECT_GE(counter.holes(), 63u << 20);
  void* memory = ::mmap(nullptr, 64 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, file->get(), 0);
  ASSERT_NE(memory, MAP_FAILED);
  std::memset(memory, 1, 16 << 20);
  EXPECT_FALSE(told(counter)) << "inotify does not tell of a write through a mapping";
  counter.check_holes();
  finish(counter);
  EXPECT_GE(counter.usage().bytes, 16u << 20);
  ::munmap(memory, 64 << 20);
}

TEST_F(DiskCounterTest, WithoutWatchesLapsFindEverything) {
  ASSERT_TRUE(make_dirs(at("a")));
  DiskCounter counter = open(false);
  EXPECT_EQ(counter.blind(), 2u);
  write("a/file", 1 << 20);
  ASSERT_TRUE(make_dirs(at("a/b/c")));
  EXPECT_FALSE(told(counter));
  counter.begin_lap();
  finish(counter);
  EXPECT_EQ(counter.usage(), walk(root()));
  ASSERT_TRUE(remove_tree(at("a")));
  counter.begin_lap();
  finish(counter);
  EXPECT_EQ(counter.usage(), walk(root()));
  EXPECT_EQ(counter.blind(), 1u);
}

TEST_F(DiskCounterTest, WorksInSlicesAndCountsABigFolderOnTheWay) {
  for (int n = 0; n < 1000; ++n) write(std::to_string(n), 1);
  auto counter = DiskCounter::open({{root()}});
  ASSERT_TRUE(counter);
  DiskCounter slices = std::move(counter).take();
  std::uint64_t last = 0;
  int pieces = 1;
  for (; slices.work(clock_, clock_.now()); ++pieces) {
    EXPECT_GE(slices.usage().inodes, last);
    last = slices.usage().inodes;
  }
  EXPECT_GE(pieces, 10);
  EXPECT_GT(last, 500u);
  EXPECT_EQ(slices.usage(), walk(root()));
}

TEST_F(DiskCounterTest, NamesTheBiggestFolders) {
  ASSERT_TRUE(make_dirs(at("data/blobs")));
  ASSERT_TRUE(make_dirs(at("cache")));
  write("data/blobs/one", 2 << 20);
  write("cache/two", 1 << 20);
  write("three", 1 << 19);
  const auto big = open().biggest(3);
  ASSERT_EQ(big.size(), 3u);
  EXPECT_EQ(big[0].path, "data/blobs");
  EXPECT_EQ(big[1].path, "cache");
  EXPECT_EQ(big[2].path, ".");
  EXPECT_GE(big[0].bytes, 2u << 20);
}

TEST_F(DiskCounterTest, TwoRootsAreCountedTogether) {
  ASSERT_TRUE(make_dirs(folder_ / "layer/upper"));
  write("file", 5000);
  write("../layer/upper/file", 5000);
  auto counter = DiskCounter::open({{root()}, {folder_ / "layer", false}});
  ASSERT_TRUE(counter);
  DiskCounter both = std::move(counter).take();
  finish(both);
  const DiskUsage a = walk(root()), b = walk(folder_ / "layer");
  EXPECT_EQ(both.usage(), (DiskUsage{a.bytes + b.bytes, a.inodes + b.inodes}));
  EXPECT_EQ(both.blind(), 2u);
}

TEST_F(DiskCounterTest, ARootThatIsALinkOrAbsentIsAnError) {
  ASSERT_EQ(::symlink("/usr", at("link").c_str()), 0);
  EXPECT_FALSE(DiskCounter::open({{at("link")}}));
  EXPECT_FALSE(DiskCounter::open({{at("nothing")}}));
}

// covers: F34
TEST_F(DiskCounterTest, AFolderFiveThousandDeepWithOddNamesIsCountedAndRemoved) {
  const TempFolder memory("/dev/shm");  // where thousands of folders cost no disk
  const std::string odd = "\n\"\xff\xe2\x80\xae" + std::string(249, 'd');
  UniqueFd folder = std::move(open_file(memory.path(), O_RDONLY | O_DIRECTORY)).take();
  constexpr int kDepth = 5000;
  for (int depth = 0; depth < kDepth; ++depth) {
    ASSERT_EQ(::mkdirat(folder.get(), odd.c_str(), 0755), 0);
    folder.reset(::openat(folder.get(), odd.c_str(), O_RDONLY | O_DIRECTORY));
    ASSERT_TRUE(folder);
  }
  auto opened = DiskCounter::open({{memory.path()}});
  ASSERT_TRUE(opened);
  DiskCounter counter = std::move(opened).take();
  finish(counter);
  EXPECT_EQ(counter.usage().inodes, 1u + kDepth);
  const auto file = open_at(folder, "file", O_WRONLY | O_CREAT);
  ASSERT_TRUE(file && write_all(file->get(), std::string(100'000, 'x'), "file"));
  look(counter);
  EXPECT_EQ(counter.usage().inodes, 2u + kDepth);
  EXPECT_EQ(counter.biggest(1).front().path.size(), kDepth * (odd.size() + 1) - 1);
  counter.begin_lap();
  finish(counter);
  EXPECT_EQ(counter.usage().inodes, 2u + kDepth);
  const auto removed = remove_tree(memory / odd);
  EXPECT_TRUE(removed) << removed.error().message();
  look(counter);
  EXPECT_EQ(counter.usage(), walk(memory.path()));
}

TEST_F(DiskCounterTest, SomebodyWhoMovesFoldersAllTheTimeHidesNothingForLong) {
  ASSERT_TRUE(make_dirs(at("a/x/y")));
  ASSERT_TRUE(make_dirs(at("b")));
  write("a/x/y/file", 1 << 20);
  const pid_t mover = ::fork();
  if (mover == 0) {
    for (;;) {
      ::rename(at("a/x").c_str(), at("b/x").c_str());
      ::rename(at("b/x").c_str(), at("a/x").c_str());
    }
  }
  DiskCounter counter = open();
  for (int n = 0; n < 2000; ++n) {
    counter.read_changes();
    counter.work(clock_, clock_.now() + std::chrono::microseconds(200));
    if (n % 100 == 0) counter.begin_lap();
  }
  ::kill(mover, SIGKILL);
  ::waitpid(mover, nullptr, 0);
  look(counter);
  EXPECT_EQ(counter.usage(), walk(root()));
}

}  // namespace
}  // namespace dewar
