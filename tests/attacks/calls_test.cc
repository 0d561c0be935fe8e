// Every system call by every door, made in a sandbox and compared with a list that knows nothing of the filter's table.
#include <signal.h>

#include <map>
#include <sstream>

#include "base/files.h"
#include "isolation/seccomp/profile.h"
#include "tests/attacks/attack_test.h"

namespace dewar {
namespace {

struct Blocked {
  const char* words;
  long number;
  long a, b;
  const char* answers[2];  ///< of `default` and `strict`
};

constexpr Blocked kBlocked[] = {
#define BLOCKED(name, number, in_default, in_strict) {#name, number, 0, 0, {in_default, in_strict}},
#define ARGUMENT(words, number, a, b, in_default, in_strict)
#define LAST(number)
#define GAP(first, last)
#include "tests/attacks/blocked_calls.inc"
#undef BLOCKED
#undef ARGUMENT
};

constexpr Blocked kArguments[] = {
#define BLOCKED(name, number, in_default, in_strict)
#define ARGUMENT(words, number, a, b, in_default, in_strict) {words, number, a, b, {in_default, in_strict}},
#include "tests/attacks/blocked_calls.inc"
#undef BLOCKED
#undef ARGUMENT
#undef LAST
#undef GAP
};

constexpr bool is_there(long number) {
#define BLOCKED(name, number, in_default, in_strict)
#define ARGUMENT(words, number, a, b, in_default, in_strict)
#define LAST(last) \
  if (number > last) return false;
#define GAP(first, last) \
  if (number >= first && number <= last) return false;
#include "tests/attacks/blocked_calls.inc"
  return true;
}

class CallsTest : public AttackTest, public ::testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    AttackTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    ASSERT_TRUE(replace_file(folder("sandbox/calls"), read_file(DEWAR_BIN "/calls").take(), 0755));
  }

  std::string make_calls(const Container& container, const std::string& script) {
    const std::string filter = compile_seccomp(GetParam()).take();
    const Ended ended = finish(start(container, script, 0, [&](AttemptRecipe& recipe) { recipe.seccomp = filter; }));
    EXPECT_EQ(ended.code, 0) << ended.output;
    return ended.output;
  }
  const char* wanted(const Blocked& call) const { return call.answers[GetParam() == std::string_view("strict")]; }
};
INSTANTIATE_TEST_SUITE_P(Profiles, CallsTest, ::testing::Values("default", "strict"),
                         [](const auto& one) { return std::string(one.param); });

/// number -> what `calls` said of it.
std::map<long, std::string> answers(const std::string& output) {
  std::map<long, std::string> found;
  std::istringstream lines(output);
  long number = 0;
  for (std::string line; lines >> number && std::getline(lines >> std::ws, line);) found[number] = line;
  return found;
}

// covers: S11
TEST_P(CallsTest, EachNumberAnswersWhatTheListSays) {
  std::map<long, Blocked> listed;
  for (const Blocked& call : kBlocked) EXPECT_TRUE(listed.emplace(call.number, call).second) << call.words;
  const Container container = make();
  const auto found = answers(make_calls(container, "./calls native"));
  ASSERT_EQ(found.size(), 1022u);
  for (const auto& [number, answer] : found) {
    const auto row = listed.find(number);
    const std::string expected = row != listed.end() ? wanted(row->second) : is_there(number) ? "passed" : "ENOSYS";
    EXPECT_EQ(answer, expected) << number << " " << (row != listed.end() ? row->second.words : "");
  }
}

// covers: S11
TEST_P(CallsTest, ForbiddenArgumentsAreRefused) {
  const Container container = make();
  std::string script, expected;
  for (const Blocked& call : kArguments) {
    script += "echo '" + std::string(call.words) + "' $(./calls one " + std::to_string(call.number) + " " +
              std::to_string(call.a) + " " + std::to_string(call.b) + ")\n";
    expected += std::string(call.words) + " " + std::to_string(call.number) + " " + wanted(call) + "\n";
  }
  EXPECT_EQ(make_calls(container, script), expected);
}

// covers: S11
TEST_P(CallsTest, TheOtherTwoDoorsEndTheProcess) {
  const Container container = make();
  for (const auto& [door, count] : {std::pair{"x32", 560u}, {"i386", 480u}}) {
    const auto found = answers(make_calls(container, std::string("./calls ") + door));
    EXPECT_EQ(found.size(), count);
    for (const auto& [number, answer] : found) {
      // A kernel without 32-bit calls has no such door: int 0x80 is a fault.
      if (door == std::string_view("i386") && answer == "signal " + std::to_string(SIGSEGV)) continue;
      EXPECT_EQ(answer, "signal " + std::to_string(SIGSYS)) << door << " " << number;
    }
  }
}

}  // namespace
}  // namespace dewar
