#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "tests/support/temp_folder.h"
#include "thermos/runner/control_server.h"

namespace dewar {
namespace {

using namespace std::chrono_literals;

Record task_record(TaskState state) {
  TaskRecord record;
  record.state = state;
  record.timestamp_ms = 1700000000000;
  return record;
}

/// A server on a loop of its own thread, with what it was asked for written down.
class ControlTest : public testing::Test {
 protected:
  ControlTest()
      : server_(loop_, {[this] { return history_; },
                        [this](std::optional<Duration> wait, const std::string& who) {
                          who_ = who;
                          note("kill", wait);
                        },
                        [this](const std::string&) { note("lose", {}); }, [this] { note("first", {}); },
                        [this](const std::string& words) {
                          note("limits " + words, {});
                          return words == "pids=1" ? "ok\n" : "error no\n";
                        }}) {
    EXPECT_TRUE(server_.listen(folder_.path()));
  }
  void note(const std::string& verb, std::optional<Duration> wait) {
    asked_ += verb + (wait ? " " + std::to_string(*wait / 1ms) : "") + "\n";
    if (on_request_) on_request_();
    if (std::ranges::count(asked_, '\n') >= stop_after_) loop_.stop();
  }
  /// Runs the loop until `count` requests were obeyed in all.
  void serve(int count) {
    stop_after_ = count;
    loop_.at(std::chrono::steady_clock::now() + 30s, [this] { loop_.stop(); });
    ASSERT_TRUE(loop_.run());
  }

  TempFolder folder_;
  EventLoop loop_;
  std::string history_, asked_, who_;
  std::function<void()> on_request_;
  std::ptrdiff_t stop_after_ = 1;
  ControlServer server_;
};

TEST_F(ControlTest, ASubscriberGetsTheHistoryThenWhatIsPublished) {
  history_ = framed(encode_record(task_record(TaskState::kActive)));
  auto client = RunnerClient::connect(folder_.path());
  ASSERT_TRUE(client) << client.error().message();
  ASSERT_TRUE(client->subscribe());
  serve(1);
  EXPECT_EQ(asked_, "first\n");
  server_.publish(framed(encode_record(task_record(TaskState::kCleaning))));
  server_.close(1000);
  std::vector<Record> records;
  for (auto more = client->receive(records); more && *more; more = client->receive(records)) {
  }
  EXPECT_EQ(records, (std::vector{task_record(TaskState::kActive), task_record(TaskState::kCleaning)}));
}

TEST_F(ControlTest, AConnectionThatWasThereBeforeIsServedToo) {
  history_ = framed(encode_record(task_record(TaskState::kActive)));
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  RunnerClient client{UniqueFd(ends[0])};
  ASSERT_TRUE(client.subscribe());
  ASSERT_TRUE(server_.serve(UniqueFd(ends[1])));
  serve(1);
  server_.close(1000);
  std::vector<Record> records;
  for (auto more = client.receive(records); more && *more; more = client.receive(records)) {
  }
  EXPECT_EQ(records, (std::vector{task_record(TaskState::kActive)}));
}

TEST_F(ControlTest, KillAndLoseAreObeyedWithTheirWait) {
  auto client = RunnerClient::connect(folder_.path());
  ASSERT_TRUE(client);
  ASSERT_TRUE(client->kill());
  ASSERT_TRUE(client->kill(1500ms));
  ASSERT_TRUE(client->lose());
  serve(3);
  EXPECT_EQ(asked_, "kill\nkill 1500\nlose\n");
  EXPECT_THAT(who_,
              testing::HasSubstr("(pid " + std::to_string(::getpid()) + ", uid " + std::to_string(::getuid()) + ")"));
}

TEST_F(ControlTest, WhoSpeaksAnotherLanguageIsDroppedAndOthersStay) {
  auto good = RunnerClient::connect(folder_.path());
  ASSERT_TRUE(good);
  for (const std::string& words : {std::string("dance\n"), std::string("kill soon\n"), std::string("kill -1\n"),
                                   std::string("kill nan\n"), std::string(5000, 'x')}) {
    auto bad = RunnerClient::connect(folder_.path());
    ASSERT_TRUE(bad);
    ASSERT_EQ(::send(bad->fd().get(), words.data(), words.size(), MSG_NOSIGNAL), static_cast<ssize_t>(words.size()));
    ASSERT_TRUE(loop_.watch(bad->fd().get(), [this] { loop_.stop(); }));  // readable: it was closed
    serve(1);
    loop_.unwatch(bad->fd().get());
    EXPECT_EQ(asked_, "") << words.substr(0, 20);
  }
}

TEST_F(ControlTest, ASubscriberThatNeverReadsIsDroppedNotWaitedFor) {
  auto client = RunnerClient::connect(folder_.path());
  ASSERT_TRUE(client);
  ASSERT_TRUE(client->subscribe());
  serve(1);
  const std::string block(1u << 20, 'x');
  for (int i = 0; i < 8; ++i) server_.publish(block);
  EXPECT_FALSE(server_.has_subscribers());
}

TEST_F(ControlTest, WhoAsksAndLeavesAtOnceIsObeyedAndForgotten) {
  on_request_ = [this] { server_.publish("news"); };  // as a kill does; it finds the asker gone
  {
    auto client = RunnerClient::connect(folder_.path());
    ASSERT_TRUE(client);
    ASSERT_TRUE(client->subscribe());
    ASSERT_TRUE(client->kill());
  }
  serve(1);
  EXPECT_EQ(asked_, "first\n");
  EXPECT_FALSE(server_.has_subscribers());
}

TEST_F(ControlTest, WithoutARunnerThereIsNobodyToTalkTo) {
  server_.close(0);
  const auto client = RunnerClient::connect(folder_.path());
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().code, std::errc::connection_refused);
}

TEST_F(ControlTest, AChangeOfLimitsIsAnswered) {
  auto client = RunnerClient::connect(folder_.path());
  ASSERT_TRUE(client) << client.error().message();
  std::thread asker([&] {
    EXPECT_TRUE(client->change_limits("pids=1"));
    EXPECT_EQ(client->change_limits("pids=2 cpu=1").error().message(), "no");
  });
  serve(2);
  EXPECT_EQ(asked_, "limits pids=1\nlimits pids=2 cpu=1\n");
  asker.join();
}

}  // namespace
}  // namespace dewar
