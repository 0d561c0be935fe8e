// The operator's commands for schemes of their own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "base/files.h"
#include "base/process.h"
#include "tests/fetcher/fetch_rig.h"

namespace dewar {
namespace {

using ::testing::ContainsRegex;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class HelperTest : public testing::Test {
 protected:
  HelperTest() {
    EXPECT_EQ(::chmod(rig_.path(".").c_str(), 0755), 0);
    EXPECT_TRUE(make_dirs(rig_.path("open"), 0777));
    EXPECT_EQ(::chmod(rig_.path("open").c_str(), 0777), 0);
  }
  /// A helper for `own://`, which gets the URI as $1.
  void helper(const std::string& script) {
    ASSERT_TRUE(replace_file(rig_.path("helper"), "#!/bin/sh\n" + script + "\n", 0755));
    rig_.configure("helper own " + rig_.path("helper") + " {uri}");
  }
  void expect_refused(const FetchOutcome& outcome, const std::string& words) {
    EXPECT_EQ(outcome.exit, 1);
    EXPECT_THAT(outcome.err, HasSubstr(words));
    EXPECT_THAT(rig_.names(), IsEmpty());
  }
  /// The process that has written its number into open/pid is gone, or goes now.
  void expect_ended() {
    const auto text = read_file(rig_.path("open/pid"));
    ASSERT_TRUE(text);
    const auto id = identify(std::stoi(*text));
    const auto process = id ? open_process(*id) : Result<UniqueFd>(fail("it has gone"));
    if (!process) return;
    pollfd end{process->get(), POLLIN, 0};
    EXPECT_EQ(::poll(&end, 1, 60'000), 1) << "the helper still runs";
    (void)!send_signal(*process, SIGKILL);
  }

  FetchRig rig_;
};

TEST_F(HelperTest, ItsOutputIsTheFile) {
  helper("printf 'got %s' \"$1\"");
  const FetchOutcome outcome = rig_.fetch("own://there/file");
  EXPECT_EQ(outcome.exit, 0) << outcome.err;
  EXPECT_EQ(rig_.file("file"), "got own://there/file");
}

TEST_F(HelperTest, OneThatFailsIsHeard) {
  helper("echo some; echo no such bucket: secret >&2; exit 3");
  const FetchOutcome outcome = rig_.fetch("own://there/file?key=secret");
  expect_refused(outcome, "ended with exit status 3 after 3 tries (last words: \"no such bucket: ***\")");
  EXPECT_THAT(outcome.err, Not(HasSubstr("secret")));
}

// What it says without end is no burden, and its last words count.
TEST_F(HelperTest, OneThatSaysTooMuchIsHeardToItsEnd) {
  helper("head -c 3000000 /dev/zero | tr '\\0' x >&2; echo the end >&2; exit 1");
  const FetchOutcome outcome = rig_.fetch("own://there/file");
  expect_refused(outcome, "the end\")");
  EXPECT_LT(outcome.err.size(), 1000u);
}

TEST_F(HelperTest, OneThatIsKilled) {
  helper("kill -9 $$");
  expect_refused(rig_.fetch("own://there/file"), "ended with signal 9");
}

TEST_F(HelperTest, OneThatIsNotThere) {
  rig_.configure("helper own /no/such/helper {uri}");
  expect_refused(rig_.fetch("own://there/file"), "start /no/such/helper: No such file or directory");
}

TEST_F(HelperTest, OneThatHangsIsEnded) {
  helper("echo $$ > " + rig_.path("open/pid") + "; echo some; exec sleep 600");
  Artifact wanted = artifact("own://there/file");
  wanted.timeout = std::chrono::seconds(1);
  expect_refused(rig_.fetch({wanted}), "the helper took longer than");
  expect_ended();
}

TEST_F(HelperTest, OneThatHangsAfterItsOutputIsEnded) {
  helper("echo $$ > " + rig_.path("open/pid") + "; echo some; exec sleep 600 >&- 2>&-");
  Artifact wanted = artifact("own://there/file");
  wanted.timeout = std::chrono::seconds(1);
  expect_refused(rig_.fetch({wanted}), "the helper took longer than");
  expect_ended();
}

TEST_F(HelperTest, MoreThanMaxSize) {
  helper("echo $$ > " + rig_.path("open/pid") + "; exec cat /dev/zero");
  Artifact wanted = artifact("own://there/file");
  wanted.max_size = 1'000'000;
  expect_refused(rig_.fetch({wanted}), "more than its max_size of");
  expect_ended();
}

TEST_F(HelperTest, ItHasTheUsersRights) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become another user";
  helper("cat /proc/self/status; ls /proc/self/fd | tr '\\n' ' '");
  FetchRequest request = rig_.request({artifact("own://there/file")});
  request.groups = {4321};
  const FetchOutcome outcome = rig_.run(request);
  EXPECT_EQ(outcome.exit, 0) << outcome.err;
  const std::string got = rig_.file("file");
  for (const char* line : {"Uid:\t65534\t65534\t65534\t65534\n", "Gid:\t65534\t65534\t65534\t65534\n", "Groups:\t4321",
                           "CapInh:\t0000000000000000\n", "CapPrm:\t0000000000000000\n", "CapEff:\t0000000000000000\n",
                           "CapAmb:\t0000000000000000\n", "NoNewPrivs:\t1\n"})
    EXPECT_THAT(got, HasSubstr(line));
  EXPECT_THAT(got, ContainsRegex("SigIgn:\t[0-9a-f]*0000\n")) << "a broken pipe ends it";
  EXPECT_THAT(got, EndsWith("\n0 1 2 3 ")) << "3 is of ls itself";
}

}  // namespace
}  // namespace dewar
