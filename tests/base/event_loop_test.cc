#include "base/event_loop.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

namespace dewar {
namespace {

using namespace std::chrono_literals;

Time now() { return std::chrono::steady_clock::now(); }

struct Pipe {
  Pipe() {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    read_end.reset(ends[0]);
    write_end.reset(ends[1]);
  }
  void poke() const { EXPECT_EQ(::write(write_end.get(), "x", 1), 1); }
  UniqueFd read_end, write_end;
};

TEST(EventLoop, TimersRunInTheOrderOfTheirTimes) {
  EventLoop loop;
  std::string order;
  const Time start = now();
  loop.at(start + 2ms, [&] { order += 'b'; });
  loop.at(start + 3ms, [&] { order += 'c', loop.stop(); });
  loop.at(start + 1ms, [&] { order += 'a'; });
  ASSERT_TRUE(loop.run());
  EXPECT_EQ(order, "abc");
  EXPECT_GE(now(), start + 3ms);
}

TEST(EventLoop, ACancelledTimerDoesNotRun) {
  EventLoop loop;
  const auto id = loop.at(now(), [] { FAIL() << "cancelled"; });
  loop.cancel(id);
  loop.cancel(id);
  loop.at(now() + 1ms, [&] { loop.stop(); });
  ASSERT_TRUE(loop.run());
}

TEST(EventLoop, AReadableDescriptorCallsItsHandler) {
  EventLoop loop;
  const Pipe pipe;
  ASSERT_TRUE(loop.watch(pipe.read_end.get(), [&] { loop.stop(); }));
  loop.at(now(), [&] { pipe.poke(); });
  ASSERT_TRUE(loop.run());
}

TEST(EventLoop, AHandlerMayRemoveItselfAndOthersOfTheSameBatch) {
  EventLoop loop;
  const Pipe one, two;
  int calls = 0;
  const auto once = [&] {
    ++calls;
    loop.unwatch(one.read_end.get());
    loop.unwatch(two.read_end.get());
    loop.at(now(), [&] { loop.stop(); });
  };
  ASSERT_TRUE(loop.watch(one.read_end.get(), once));
  ASSERT_TRUE(loop.watch(two.read_end.get(), once));
  one.poke();
  two.poke();
  ASSERT_TRUE(loop.run());
  EXPECT_EQ(calls, 1);
}

TEST(EventLoop, AnEventOfAClosedDescriptorDoesNotReachItsSuccessor) {
  EventLoop loop;
  auto first = std::make_unique<Pipe>();
  auto second = std::make_unique<Pipe>();
  const int number_a = first->read_end.get(), number_b = second->read_end.get();
  std::unique_ptr<Pipe> successor;
  const auto replace_the_other = [&](int me, std::unique_ptr<Pipe>& other) {
    loop.unwatch(me);
    const int taken = other->read_end.get();
    loop.unwatch(taken);
    other.reset();
    successor = std::make_unique<Pipe>();
    ASSERT_TRUE(successor->read_end.get() == taken || successor->write_end.get() == taken);
    ASSERT_TRUE(loop.watch(successor->read_end.get(), [] { FAIL() << "nobody wrote to this one"; }));
    loop.at(now() + 1ms, [&] { loop.stop(); });
  };
  ASSERT_TRUE(loop.watch(number_a, [&] { replace_the_other(number_a, second); }));
  ASSERT_TRUE(loop.watch(number_b, [&] { replace_the_other(number_b, first); }));
  first->poke();
  second->poke();
  ASSERT_TRUE(loop.run());
}

TEST(EventLoop, WatchingABadDescriptorIsAnError) {
  EventLoop loop;
  EXPECT_FALSE(loop.watch(-1, [] {}));
}

}  // namespace
}  // namespace dewar
