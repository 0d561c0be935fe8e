// dewar-fetch against a server that does everything wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/files.h"
#include "tests/fetcher/fetch_rig.h"

namespace dewar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class HttpTest : public testing::Test {
 protected:
  OddServer server;
  FetchRig rig;
};

TEST_F(HttpTest, AFileArrivesWholeAndBelongsToTheUser) {
  const FetchOutcome got = rig.fetch(server.uri("ok/a.bin"));
  EXPECT_EQ(got.exit, 0) << got.err;
  EXPECT_EQ(rig.file("a.bin"), OddServer::content("a.bin"));
  EXPECT_THAT(rig.names(), ElementsAre("a.bin"));
  struct stat info {};
  ASSERT_EQ(::stat((rig.sandbox() + "/a.bin").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0644u);
  if (::geteuid() == 0) {
    EXPECT_EQ(info.st_uid, 65534u);
  }
  EXPECT_EQ(got.status.run, 7);
  EXPECT_EQ(got.status.stage, FetchStage::kDone);
  ASSERT_EQ(got.status.items.size(), 1u);
  EXPECT_EQ(got.status.items[0].bytes, 300'000u);
  EXPECT_EQ(got.status.items[0].from, "127.0.0.1");
}

TEST_F(HttpTest, NamesModesAndFoldersAreAsAsked) {
  Artifact tool = artifact(server.uri("ok/tool"));
  tool.output_file = "bin/tools/run";
  tool.executable = true;
  EXPECT_EQ(rig.fetch({tool}).exit, 0);
  struct stat info {};
  ASSERT_EQ(::stat((rig.sandbox() + "/bin/tools/run").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0755u);
  const FetchOutcome query = rig.fetch(server.uri("ok/b%20c?token=abcdef"));
  EXPECT_EQ(query.exit, 0) << query.err;
  EXPECT_EQ(rig.file("b c"), OddServer::content("b%20c"));
  EXPECT_THAT(query.out, Not(HasSubstr("abcdef")));
}

// A file of the same name is replaced as a whole, and a link is not followed.
TEST_F(HttpTest, AnOlderFileIsReplacedAndALinkNotFollowed) {
  ASSERT_TRUE(replace_file(rig.path("outside"), "mine"));
  ASSERT_EQ(::symlink(rig.path("outside").c_str(), (rig.sandbox() + "/a").c_str()), 0);
  EXPECT_EQ(rig.fetch(server.uri("ok/a")).exit, 0);
  EXPECT_EQ(*read_file(rig.path("outside")), "mine");
  EXPECT_EQ(rig.file("a"), OddServer::content("a"));
  // Nor is a folder that leads out of the sandbox.
  ASSERT_EQ(::symlink("/var/tmp", (rig.sandbox() + "/out").c_str()), 0);
  Artifact through = artifact(server.uri("ok/b"));
  through.output_file = "out/b";
  const FetchOutcome refused = rig.fetch({through});
  EXPECT_EQ(refused.exit, 1);
  EXPECT_FALSE(exists("/var/tmp/b"));
}

// covers: F38
TEST_F(HttpTest, ADripAndASilenceEndInWords) {
  rig.configure("tries 1");
  const FetchOutcome drip = rig.fetch(server.uri("drip/a"));
  EXPECT_EQ(drip.exit, 1);
  EXPECT_THAT(drip.err, HasSubstr("stalled after"));
  const FetchOutcome silent = rig.fetch(server.uri("silent/b"));
  EXPECT_EQ(silent.exit, 1);
  EXPECT_THAT(silent.err, HasSubstr("no answer within 500ms"));
  Artifact late = artifact(server.uri("drip/c"));
  late.timeout = std::chrono::milliseconds(300);
  const FetchOutcome over = rig.fetch({late});
  EXPECT_EQ(over.exit, 1);
  EXPECT_THAT(over.err, HasSubstr("its timeout of 300ms is over"));
  EXPECT_THAT(rig.names(), IsEmpty());
}

// The kernel takes the connection, and nobody answers what TLS begins with.
TEST_F(HttpTest, AConnectionThatDoesNotStandInTimeEndsInWords) {
  const UniqueFd mute(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof any;
  ASSERT_EQ(::bind(mute.get(), reinterpret_cast<sockaddr*>(&any), size), 0);
  ASSERT_EQ(::listen(mute.get(), 5), 0);
  ::getsockname(mute.get(), reinterpret_cast<sockaddr*>(&any), &size);
  rig.configure("connect_timeout 300ms");
  rig.configure("first_byte_timeout 1h");
  rig.configure("tries 1");
  const FetchOutcome got = rig.fetch("https://127.0.0.1:" + std::to_string(ntohs(any.sin_port)) + "/a");
  EXPECT_EQ(got.exit, 1);
  EXPECT_THAT(got.err, HasSubstr("timeout"));
  EXPECT_THAT(rig.names(), IsEmpty());
}

// covers: F38
TEST_F(HttpTest, WrongBytesNeverGetTheName) {
  Artifact strong = artifact(server.uri("ok/a"));
  strong.sha512 = std::string(128, '0');
  EXPECT_THAT(rig.fetch({strong}).err, HasSubstr("its sha512 is "));
  EXPECT_THAT(rig.names(), IsEmpty());
}

// covers: F38
TEST_F(HttpTest, RedirectsAreFollowedButNotInACircle) {
  Artifact there = artifact(server.uri("to?" + server.uri("ok/a")));
  there.output_file = "a";
  EXPECT_EQ(rig.fetch({there}).exit, 0);
  EXPECT_EQ(rig.file("a"), OddServer::content("a"));
  EXPECT_THAT(rig.fetch(server.uri("loop/b")).err, HasSubstr("redirected 10 times"));
  Artifact file = artifact(server.uri("to?file:///etc/passwd"));
  file.output_file = "c";
  EXPECT_THAT(rig.fetch({file}).err, HasSubstr("neither http nor https"));
}

// covers: S19
TEST_F(HttpTest, ARedirectLeadsToNoForbiddenAddress) {
  for (const char* target : {"http://169.254.169.254/latest/meta-data/", "http://2852039166/", "http://0xa9fea9fe/",
                             "http://[::ffff:169.254.169.254]/", "http://100.100.100.200/x"}) {
    Artifact led = artifact(server.uri(std::string("to?") + target));
    led.output_file = "x";
    const FetchOutcome got = rig.fetch({led});
    EXPECT_EQ(got.exit, 1) << target;
    EXPECT_THAT(got.err, HasSubstr("is a metadata service")) << target;
  }
  FetchRequest isolated = rig.request({artifact(server.uri("ok/a"))});
  isolated.loopback = false;
  const FetchOutcome got = rig.run(isolated);
  EXPECT_EQ(got.exit, 1);
  EXPECT_THAT(got.err, HasSubstr("127.0.0.1 is this host itself"));
  EXPECT_EQ(asked(server, "/ok/a"), 0);
  rig.configure("allow 127.0.0.1");
  EXPECT_EQ(rig.run(isolated).exit, 0);
}

// covers: S20
TEST_F(HttpTest, SecretsGoToTheirHostOnlyAndIntoNoWords) {
  ASSERT_EQ(::mkdir(rig.path("credentials").c_str(), 0700), 0);
  ASSERT_TRUE(replace_file(rig.path("credentials/store"),
                           "host 127.0.0.1\nheader Authorization: Bearer canary-7f3a\nplain yes\n", 0600));
  Artifact secret = artifact(server.uri("headers/mine"));
  secret.credential = "store";
  secret.headers["X-Key"] = "canary-91bb";
  const FetchOutcome got = rig.fetch({secret});
  EXPECT_EQ(got.exit, 0) << got.err;
  EXPECT_THAT(rig.file("mine"), HasSubstr("Bearer canary-7f3a"));
  EXPECT_THAT(rig.file("mine"), HasSubstr("canary-91bb"));

  const OddServer other;  // another origin by its port, and another host by its name
  std::string elsewhere = other.uri("headers/theirs");
  elsewhere.replace(elsewhere.find("127.0.0.1"), 9, "localhost");
  secret.uri = server.uri("to?" + elsewhere);
  secret.output_file = "theirs";
  EXPECT_EQ(rig.fetch({secret}).exit, 0);
  EXPECT_THAT(rig.file("theirs"), Not(HasSubstr("canary")));

  secret.uri = server.uri("404/x?sig=canary-55aa");  // its body repeats the secret
  const FetchOutcome failed = rig.fetch({secret});
  EXPECT_EQ(failed.exit, 1);
  EXPECT_THAT(failed.err, HasSubstr("***"));
  const auto status = read_file(rig.path("status"));
  for (const std::string& words : {got.out, failed.out, failed.err, *status})
    EXPECT_THAT(words, Not(HasSubstr("canary")));
}

// covers: S20
TEST_F(HttpTest, ACredentialThatOthersCouldReadOrThatNamesNoHostIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  ASSERT_EQ(::mkdir(rig.path("credentials").c_str(), 0700), 0);
  Artifact secret = artifact(server.uri("headers/mine"));
  secret.credential = "store";
  EXPECT_THAT(rig.fetch({secret}).err, HasSubstr("No such file"));
  ASSERT_TRUE(replace_file(rig.path("credentials/store"), "header A: b\n", 0600));
  EXPECT_THAT(rig.fetch({secret}).err, HasSubstr("names no 'host'"));
  ASSERT_TRUE(replace_file(rig.path("credentials/store"), "host 127.0.0.1\nheader A: b\n", 0644));
  EXPECT_THAT(rig.fetch({secret}).err, HasSubstr("by others than root"));
  ASSERT_TRUE(replace_file(rig.path("credentials/store"), "host 127.0.0.1\nheader A: b\n", 0600));
  EXPECT_THAT(rig.fetch({secret}).err, HasSubstr("not sent without TLS"));
  EXPECT_EQ(asked(server, "/headers/mine"), 0);
}

}  // namespace
}  // namespace dewar
