// A disk that does not keep up: a file system of its own, frozen while the process writes.
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#include <cstdlib>

#include "base/files.h"
#include "isolation/log_index.h"
#include "tests/launch/launch_fixture.h"

namespace dewar::testing {
namespace {

class SlowDiskTest : public LaunchTest {
 protected:
  void SetUp() override {
    LaunchTest::SetUp();
    if (IsSkipped()) return;
    make_container();
    disk_ = scratch() + "/disk";
    ASSERT_TRUE(make_dirs(disk_));
    const std::string make = "truncate -s 64M " + disk_ + ".img && mkfs.ext4 -q -F " + disk_ +
                             ".img && mount -o loop " + disk_ + ".img " + disk_ + " 2>/dev/null";
    if (std::system(make.c_str()) != 0) GTEST_SKIP() << "no loop mounts here";
    mounted_ = true;
    root_ = std::move(open_file(disk_, O_RDONLY | O_DIRECTORY)).take();
  }
  void TearDown() override {
    thaw();
    root_.reset();
    if (mounted_) {
      EXPECT_EQ(::umount(disk_.c_str()), 0);
    }
    LaunchTest::TearDown();
  }
  void freeze() { frozen_ = ::ioctl(root_.get(), FIFREEZE, 0) == 0; }
  void thaw() {
    if (std::exchange(frozen_, false)) {
      EXPECT_EQ(::ioctl(root_.get(), FITHAW, 0), 0);
    }
  }
  /// Writes a line, waits until the disk is frozen, writes 20 MB and says so.
  AttemptRecipe writer(WhenFull when_full) {
    AttemptRecipe recipe = attempt_recipe(
        "echo first; touch up; until [ -e frozen ]; do sleep 0.02; done; yes 0123456789 | head -c 20000000; touch "
        "done; "
        "until [ -e thawed ]; do sleep 0.02; done; echo last");
    recipe.logs.folder = disk_;
    recipe.logs.policy.when_full = when_full;
    return recipe;
  }
  /// Its launcher; the disk is frozen once its first line is there.
  pid_t start_and_freeze(const AttemptRecipe& recipe) {
    const pid_t pid = start(recipe);
    wait_for("up");
    while (slurp(disk_ + "/stdout") != "first\n") ::poll(nullptr, 0, 1);
    freeze();
    tell("frozen");
    return pid;
  }
  void tell(const std::string& word) { ASSERT_TRUE(replace_file(scratch() + "/sandbox/" + word, "")); }
  bool told(const std::string& word) const { return exists(scratch() + "/sandbox/" + word); }
  void wait_for(const std::string& word) const {
    for (int tries = 0; tries < 6000 && !told(word); ++tries) ::poll(nullptr, 0, 10);
    ASSERT_TRUE(told(word)) << word;
  }

  std::string disk_;
  UniqueFd root_;
  bool mounted_ = false, frozen_ = false;
};

TEST_F(SlowDiskTest, WhoDropsDoesNotWaitAndTheGapIsMarked) {
  const AttemptRecipe recipe = writer(WhenFull::kDrop);
  const pid_t pid = start_and_freeze(recipe);
  ASSERT_TRUE(frozen_);
  wait_for("done");  // though nothing can be written
  thaw();
  tell("thawed");
  EXPECT_EQ(wait_for_launcher(pid), 0);
  const std::string text = slurp(disk_ + "/stdout");
  EXPECT_TRUE(text.starts_with("first\n0123456789\n"));
  EXPECT_TRUE(text.ends_with("last\n"));
  EXPECT_NE(status_of(recipe)->log_error.find(" of output dropped: the disk did not keep up"), std::string::npos);
  std::uint64_t missing = 0;
  const std::string index = slurp(disk_ + "/index");
  for (std::size_t at = 0; at + kIndexRecordSize <= index.size(); at += kIndexRecordSize) {
    const auto record = decode_index_record(std::string_view(index).substr(at));
    if (record && record->reason == GapReason::kDropped) missing += record->value;
  }
  EXPECT_EQ(text.size() + missing, 6 + 20'000'000 + 5u);
}

TEST_F(SlowDiskTest, WhoBlocksWaitsAndLosesNothing) {
  const AttemptRecipe recipe = writer(WhenFull::kBlock);
  const pid_t pid = start_and_freeze(recipe);
  ASSERT_TRUE(frozen_);
  tell("thawed");
  ::poll(nullptr, 0, 200);  // time enough, if it did not wait
  EXPECT_FALSE(told("done"));
  thaw();
  EXPECT_EQ(wait_for_launcher(pid), 0);
  EXPECT_EQ(status_of(recipe)->log_error, "");
  EXPECT_EQ(slurp(disk_ + "/stdout").size(), 6 + 20'000'000 + 5u);
}

}  // namespace
}  // namespace dewar::testing
