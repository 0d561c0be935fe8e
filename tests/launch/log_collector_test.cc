#include "isolation/log_collector.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/files.h"
#include "isolation/log_quota.h"
#include "tests/support/temp_folder.h"

namespace dewar {
namespace {

class LogCollectorTest : public testing::Test {
 protected:
  std::string run(const std::string& task) const {
    return folder_ / ("slaves/local/frameworks/local/executors/" + task + "/runs/" + task + "-run");
  }
  /// `bytes` of logs that were last written to at `time`, counted.
  void put(const std::string& task, const std::string& attempt, std::size_t bytes, time_t time) {
    const std::string folder = run(task) + "/.logs/" + attempt;
    ASSERT_TRUE(make_dirs(folder));
    ASSERT_TRUE(replace_file(folder + "/stdout", std::string(bytes, 'x')));
    const timespec when[2] = {{time, 0}, {time, 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, (folder + "/stdout").c_str(), when, 0), 0);
    count(bytes);
  }
  void count(std::uint64_t bytes) const { LogQuota::open(counter(), 1000)->charge(bytes); }
  void end(const std::string& task) const {
    ASSERT_TRUE(make_dirs(run(task) + "/checkpoints/tasks/finished"));
    ASSERT_TRUE(replace_file(run(task) + "/checkpoints/tasks/finished/" + task, ""));
  }
  bool is_there(const std::string& task, const std::string& attempt) const {
    return exists(run(task) + "/.logs/" + attempt + "/stdout");
  }
  std::size_t collect() const {
    const auto gone = collect_logs(folder_.path(), 1000);
    EXPECT_TRUE(gone) << gone.error().message();
    return gone ? gone->size() : 0;
  }
  std::string counter() const { return folder_ / "log.used"; }
  std::uint64_t used() const { return read_log_use(counter())->used; }

  TempFolder folder_;
};

TEST_F(LogCollectorTest, TheOldestEndedRunsOfAllTasksGo) {
  put("dead", "p/0", 100, 2000);
  put("dead", "q/0", 300, 5000);
  put("alive", "p/0", 100, 1000);
  put("alive", "p/1", 100, 3000);
  put("alive", "p/2", 350, 500);
  end("dead");
  EXPECT_EQ(collect(), 2u);
  EXPECT_FALSE(is_there("alive", "p/0"));
  EXPECT_FALSE(is_there("dead", "p/0"));
  EXPECT_TRUE(is_there("alive", "p/1")) << "750 bytes are few enough";
  EXPECT_TRUE(is_there("dead", "q/0"));
  EXPECT_EQ(used(), 750u);
}

TEST_F(LogCollectorTest, NeverTheNewestRunOfALivingTask) {
  put("alive", "p/0", 2000, 1000);
  EXPECT_EQ(collect(), 0u);
  EXPECT_TRUE(is_there("alive", "p/0"));
}

TEST_F(LogCollectorTest, WhileThereIsRoomNothingGoes) {
  put("dead", "p/0", 900, 1000);
  end("dead");
  EXPECT_EQ(collect(), 0u);
}

TEST_F(LogCollectorTest, WhatOthersHaveRemovedIsCountedNoMore) {
  put("dead", "p/0", 100, 1000);
  count(5000);
  EXPECT_EQ(collect(), 0u);
  EXPECT_EQ(used(), 100u);
}

TEST_F(LogCollectorTest, OnlyOneCollects) {
  put("dead", "p/0", 1000, 1000);
  end("dead");
  const auto other = open_file(counter(), O_RDWR);
  ASSERT_EQ(::flock(other->get(), LOCK_EX), 0);
  EXPECT_EQ(collect(), 0u);
}

}  // namespace
}  // namespace dewar
