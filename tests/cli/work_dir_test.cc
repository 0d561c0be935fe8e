#include "agent/cli/work_dir.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/temp_folder.h"
#include "thermos/checkpoint.h"

namespace dewar {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr double kEnd = 1e9, kDay = 24 * 3600;

class WorkDirTest : public testing::Test {
 protected:
  std::string made(bool keep = false) const {
    auto folder = make_work_dir(parent_.path(), keep);
    EXPECT_TRUE(folder) << folder.error().message();
    return *folder;
  }

  /// A task in `work_dir` that went into `state` at kEnd.
  static void add_task(const std::string& work_dir, const std::string& id, TaskState state) {
    const std::string runs = work_dir + "/slaves/local/frameworks/local/executors/" + id + "/runs";
    ASSERT_TRUE(make_dirs(runs + "/r"));
    ASSERT_EQ(::symlink("r", (runs + "/latest").c_str()), 0);
    auto checkpoint = Checkpoint::open(runs + "/r/checkpoints", id, "{}", false);
    ASSERT_TRUE(checkpoint) << checkpoint.error().message();
    TaskRecord record;
    for (const TaskState next : {TaskState::kActive, TaskState::kCleaning, TaskState::kFinalizing, state}) {
      record.state = next;
      record.timestamp_ms = static_cast<std::int64_t>(kEnd * 1e3);
      ASSERT_TRUE(checkpoint->append(record));
      if (next == state) break;
    }
  }

  TempFolder parent_;
};

TEST_F(WorkDirTest, ATaskThatSucceededADayAgoIsCollected) {
  const std::string folder = made();
  add_task(folder, "t", TaskState::kSuccess);
  EXPECT_THAT(collect_work_dirs(parent_.path(), kEnd + kDay - 1), IsEmpty());
  EXPECT_TRUE(exists(folder));
  EXPECT_THAT(collect_work_dirs(parent_.path(), kEnd + kDay + 1), ElementsAre(folder));
  EXPECT_FALSE(exists(folder));
}

TEST_F(WorkDirTest, ATaskThatFailedOrGoesOnStays) {
  const std::string failed = made(), living = made(), mixed = made();
  add_task(failed, "t", TaskState::kFailed);
  add_task(living, "t", TaskState::kActive);
  add_task(mixed, "a", TaskState::kSuccess);
  add_task(mixed, "b", TaskState::kKilled);
  EXPECT_THAT(collect_work_dirs(parent_.path(), kEnd + 9 * kDay), IsEmpty());
}

TEST_F(WorkDirTest, AFolderThatIsKeptStays) {
  const std::string kept = made(true), kept_later = made();
  add_task(kept, "t", TaskState::kSuccess);
  add_task(kept_later, "t", TaskState::kSuccess);
  ASSERT_TRUE(keep_work_dir(kept_later));
  EXPECT_THAT(collect_work_dirs(parent_.path(), kEnd + 9 * kDay), IsEmpty());
}

TEST_F(WorkDirTest, FoldersWithoutOurMarkAreNobodysBusiness) {
  ASSERT_TRUE(make_dirs(parent_ / "dewar-mine/slaves"));
  const std::string elsewhere = made(true);
  add_task(elsewhere, "t", TaskState::kSuccess);
  ASSERT_EQ(::symlink(elsewhere.c_str(), (parent_ / "dewar-link").c_str()), 0);
  EXPECT_THAT(collect_work_dirs(parent_.path(), kEnd + 9 * kDay), IsEmpty());
}

TEST_F(WorkDirTest, AFolderOfAnotherUserStays) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to give a folder away";
  const std::string folder = made();
  add_task(folder, "t", TaskState::kSuccess);
  ASSERT_EQ(::chown(folder.c_str(), 65534, 65534), 0);
  EXPECT_THAT(collect_work_dirs(parent_.path(), kEnd + 9 * kDay), IsEmpty());
}

TEST_F(WorkDirTest, OnlyRootSeesAWorkFolder) {
  struct stat info {};
  ASSERT_EQ(::stat(made().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

}  // namespace
}  // namespace dewar
