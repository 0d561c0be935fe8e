#include "thermos/ports.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>

#include "base/files.h"
#include "tests/support/temp_folder.h"

namespace dewar {
namespace {

class Reservation : public ::testing::Test {
 protected:
  PortReservation::Request request(const std::string& id, int ports = 1) {
    PortReservation::Request asked;
    for (int i = 0; i < ports; ++i) asked.names.push_back("p" + std::to_string(i));
    asked.container_id = id;
    asked.run_folder = folder_ / ("run-" + id);
    asked.task_id = "task";
    return asked;
  }
  Result<PortReservation> allot(const PortReservation::Request& asked) {
    return PortReservation::allot(asked, folder_ / "ports");
  }
  TempFolder folder_;
};

TEST_F(Reservation, IsHeldWhileItsRunIsPreparedAndThenUntilTheTaskHasEnded) {
  auto first = allot(request("a"));
  ASSERT_TRUE(first) << first.error().message();
  const std::int64_t port = first->ports().at("p0");
  EXPECT_GE(port, 31000);
  EXPECT_LT(port, 32000);
  const auto next_port = [&](const std::string& id) { return allot(request(id))->ports().at("p0"); };
  EXPECT_NE(next_port("b"), port) << "being prepared";
  ASSERT_TRUE(make_dirs(folder_ / "run-a/checkpoints/tasks/active"));
  { const PortReservation gone = std::move(first).take(); }
  EXPECT_NE(next_port("c"), port) << "it runs";
  ASSERT_TRUE(make_dirs(folder_ / "run-a/checkpoints/tasks/finished"));
  ASSERT_TRUE(replace_file(folder_ / "run-a/checkpoints/tasks/finished/task", ""));
  EXPECT_EQ(next_port("d"), port) << "it has ended: this process begins its search there";
}

TEST_F(Reservation, OfARunThatNeverCameToBeIsFreeAgain) {
  const std::int64_t port = allot(request("a"))->ports().at("p0");
  EXPECT_EQ(allot(request("b"))->ports().at("p0"), port);
  EXPECT_FALSE(exists(folder_ / "ports/a"));
}

TEST_F(Reservation, TasksThatStartTogetherGetDifferentPorts) {
  constexpr int kTasks = 20, kPorts = 5;
  std::vector<pid_t> children;
  for (int i = 0; i < kTasks; ++i) {
    const pid_t pid = ::fork();
    ASSERT_GE(pid, 0);
    if (pid != 0) {
      children.push_back(pid);
      continue;
    }
    const std::string id = std::to_string(i);
    const auto mine = allot(request(id, kPorts));
    ::_exit(mine && make_dirs(folder_ / ("run-" + id)) ? 0 : 1);
  }
  for (const pid_t child : children) {
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  std::set<std::string> numbers;
  for (int i = 0; i < kTasks; ++i) {
    const auto text = read_file(folder_ / ("ports/" + std::to_string(i)));
    ASSERT_TRUE(text);
    std::size_t line = text->find('\n', text->find('\n') + 1) + 1;
    for (int port = 0; port < kPorts; ++port, line = text->find('\n', line) + 1)
      EXPECT_TRUE(numbers.insert(text->substr(line, 5)).second) << "twice: " << text->substr(line, 5);
  }
}

TEST_F(Reservation, GivenNumbersAreTakenAsTheyAreAndKeepOthersFromThem) {
  auto asked = request("a", 2);
  asked.given["p0"] = 31500;
  const auto mine = allot(asked);
  ASSERT_TRUE(mine);
  EXPECT_EQ(mine->ports().at("p0"), 31500);
  const auto all = allot(request("b", 900));
  ASSERT_TRUE(all) << all.error().message();
  for (const auto& [name, port] : all->ports()) EXPECT_NE(port, 31500);
}

TEST_F(Reservation, DamagedFilesAndAFullRangeDoNoHarm) {
  ASSERT_TRUE(make_dirs(folder_ / "ports"));
  ASSERT_TRUE(replace_file(folder_ / "ports/garbage", "\n\nx y z"));
  ASSERT_TRUE(replace_file(folder_ / "ports/empty", ""));
  EXPECT_TRUE(allot(request("a")));
  const auto none = allot(request("b", 1001));
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message(), ::testing::HasSubstr("no port is free between 31000 and 31999"));
}

}  // namespace
}  // namespace dewar
