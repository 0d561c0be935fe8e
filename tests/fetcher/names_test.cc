// Names whose answers change: what counts is the address that is connected to.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "tests/fetcher/fetch_rig.h"
#include "tests/support/own_mounts.h"

namespace dewar {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kNameServer = "127.0.0.77";

class NameTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root, to be a name server";
    take_own_mounts();
    const std::string resolv = rig_.path("resolv.conf");
    ASSERT_TRUE(replace_file(resolv, std::string("nameserver ") + kNameServer + "\n", 0644));
    if (::mount(resolv.c_str(), "/etc/resolv.conf", nullptr, MS_BIND, nullptr) != 0)
      GTEST_SKIP() << "this host has no /etc/resolv.conf";
  }
  void TearDown() override { ::umount2("/etc/resolv.conf", MNT_DETACH); }
  void answer(std::vector<std::string> addresses) {
    addresses.insert(addresses.begin(), {"/usr/bin/python3", DEWAR_SOURCE "/tests/support/dns_server.py", kNameServer});
    names_.emplace(addresses);
    ASSERT_EQ(names_->line(), "ready");
  }
  std::string uri(const std::string& path) const {
    return "http://artifacts.test" + server_.host().substr(server_.host().find(':')) + "/" + path;
  }

  const OddServer server_;
  std::optional<Server> names_;
  FetchRig rig_;
};

TEST_F(NameTest, AreLookedUp) {
  ASSERT_NO_FATAL_FAILURE(answer({"127.0.0.1"}));
  const FetchOutcome outcome = rig_.fetch(uri("ok/a"));
  EXPECT_EQ(outcome.exit, 0) << outcome.err;
}

// covers: S19
TEST_F(NameTest, AnAnswerThatHasChangedIsLookedAtAgain) {
  ASSERT_NO_FATAL_FAILURE(answer({"127.0.0.1", "169.254.169.254"}));
  const FetchOutcome outcome = rig_.fetch(uri("flaky/9/a"));  // an error first, so that there is a second try
  EXPECT_EQ(outcome.exit, 1);
  EXPECT_THAT(outcome.err, HasSubstr("169.254.169.254 is a metadata service"));
  EXPECT_EQ(server_.log().size(), 1u);
  EXPECT_THAT(rig_.names(), IsEmpty());
}

// covers: S19
TEST_F(NameTest, ARedirectToANameIsARedirectToItsAddress) {
  ASSERT_NO_FATAL_FAILURE(answer({"100.100.100.200"}));
  Artifact led = artifact(server_.uri("to?" + uri("ok/a")));
  led.output_file = "a";
  const FetchOutcome outcome = rig_.fetch({led});
  EXPECT_EQ(outcome.exit, 1);
  EXPECT_THAT(outcome.err, HasSubstr("100.100.100.200 is a metadata service"));
}

}  // namespace
}  // namespace dewar
