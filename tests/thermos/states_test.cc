#include "thermos/states.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace dewar {
namespace {

/// "WAITING>FORKED" for every pair that the table allows.
template <class State>
std::set<std::string> allowed() {
  std::set<std::string> pairs;
  for (int from = 0; from < 7; ++from) {
    for (int to = 0; to < 7; ++to) {
      const auto a = static_cast<State>(from), b = static_cast<State>(to);
      if (may_move(a, b)) pairs.insert(std::string(to_string(a)) + ">" + std::string(to_string(b)));
    }
  }
  return pairs;
}

TEST(States, OfARunMoveAsTheTableSaysAndInNoOtherWay) {
  EXPECT_EQ(
      allowed<ProcessState>(),
      (std::set<std::string>{"WAITING>FORKED", "WAITING>FAILED", "FORKED>RUNNING", "FORKED>FAILED", "FORKED>KILLED",
                             "FORKED>LOST", "RUNNING>SUCCESS", "RUNNING>FAILED", "RUNNING>KILLED", "RUNNING>LOST"}));
}

TEST(States, OfATaskMoveAsTheTableSaysAndInNoOtherWay) {
  EXPECT_EQ(allowed<TaskState>(),
            (std::set<std::string>{"ACTIVE>CLEANING", "ACTIVE>KILLED", "ACTIVE>LOST", "CLEANING>FINALIZING",
                                   "CLEANING>SUCCESS", "CLEANING>FAILED", "CLEANING>KILLED", "CLEANING>LOST",
                                   "FINALIZING>SUCCESS", "FINALIZING>FAILED", "FINALIZING>KILLED", "FINALIZING>LOST"}));
}

TEST(States, OnlyALivingTaskStateMayBeRepeated) {
  for (int number = 0; number < 7; ++number) {
    const auto state = static_cast<TaskState>(number);
    EXPECT_EQ(may_follow(state, state), !is_terminal(state)) << to_string(state);
  }
}

}  // namespace
}  // namespace dewar
