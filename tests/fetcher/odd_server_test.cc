// dewar-fetch against a server that misbehaves: whatever it does, the right bytes arrive whole, or an error says why
// and nothing is left.
#include <unistd.h>

#include <atomic>
#include <thread>

#include "base/digest.h"
#include "tests/fetcher/fetch_fixture.h"

namespace dewar {
namespace {

class OddServerTest : public FetchTest {
 protected:
  void expect_fetched(const End& end, const std::string& name, const std::string& content) {
    EXPECT_EQ(end.status, 0) << end.err;
    EXPECT_TRUE(content_of(name) == content);
    EXPECT_EQ(names(), std::vector<std::string>{name});
    EXPECT_EQ(status().stage, FetchStage::kDone);
  }
  void expect_refused(const End& end, const std::vector<std::string>& words) {
    EXPECT_EQ(end.status, 1);
    EXPECT_TRUE(end.err.starts_with("fetchIt: ")) << end.err;
    for (const std::string& word : words) EXPECT_NE(end.err.find(word), std::string::npos) << word << " in " << end.err;
    EXPECT_EQ(names(), std::vector<std::string>{}) << "nothing half-written stays";
    EXPECT_EQ(status().stage, FetchStage::kFailed);
    EXPECT_NE(end.err.find(status().words), std::string::npos);
  }
  Artifact with_digest(const std::string& path, const std::string& content) {
    Artifact made = artifact(server_.uri(path));
    made.sha256 = sha256(content);
    return made;
  }

  const OddServer server_;
};

TEST_F(OddServerTest, AFileWithItsDigest) {
  const std::string content = OddServer::content("a");
  expect_fetched(run(with_digest("ok/a", content)), "a", content);
  EXPECT_EQ(status().items.at(0).sha256, sha256(content));
  EXPECT_EQ(status().items.at(0).bytes, content.size());
}

// covers: F38
TEST_F(OddServerTest, NotFound) {
  expect_refused(run(artifact(server_.uri("404/a"))),
                 {server_.uri("404/a") + ": HTTP 404 from 127.0.0.1 after 3 tries (last body: \"no such key"});
  EXPECT_EQ(server_.log().size(), 3u);
}

// covers: F38
TEST_F(OddServerTest, ErrorsThatPass) {
  expect_fetched(run(artifact(server_.uri("flaky/2/a"))), "a", OddServer::content("a"));
  EXPECT_EQ(server_.log().size(), 3u);
}

TEST_F(OddServerTest, ErrorsThatStay) {
  expect_refused(run(artifact(server_.uri("flaky/100/a"))), {"HTTP 500", "after 3 tries", "not now"});
  EXPECT_EQ(server_.log().size(), 3u);
}

TEST_F(OddServerTest, BusyWithAWordOnWhenToComeAgain) {
  expect_fetched(run(artifact(server_.uri("busy/2/a"))), "a", OddServer::content("a"));
}

// covers: F39
TEST_F(OddServerTest, ACutDownloadGoesOnWhereItWas) {
  const std::string content = OddServer::content("a");
  expect_fetched(run(with_digest("cut/1/a", content)), "a", content);
  const auto log = server_.log();
  ASSERT_EQ(log.size(), 2u);
  EXPECT_NE(log[1].find("bytes=100000-"), std::string::npos) << log[1];
}

// covers: F39
TEST_F(OddServerTest, AServerThatIgnoresRangesIsReadFromTheBeginning) {
  const std::string content = OddServer::content("a");
  expect_fetched(run(with_digest("no-range/1/a", content)), "a", content);
}

// covers: F39
TEST_F(OddServerTest, WhatChangesMeanwhileIsReadFromTheBeginning) {
  expect_fetched(run(artifact(server_.uri("changed/a"))), "a", OddServer::content("a", 2));
}

// covers: F39
TEST_F(OddServerTest, HalvesOfTwoFilesAreNeverJoined) {
  const End end = run(artifact(server_.uri("liar/a")));
  EXPECT_TRUE(end.status != 0 || content_of("a") == OddServer::content("a", 2)) << "a mixture";
  EXPECT_EQ(names().size(), end.status == 0 ? 1u : 0u);
}

// covers: F38
TEST_F(OddServerTest, AStallAtNinetyNinePercent) {
  configure("stall_timeout 1s");
  const std::string content = OddServer::content("a");
  expect_fetched(run(with_digest("stall/1/a", content)), "a", content);
}

TEST_F(OddServerTest, AServerThatSaysNothing) {
  configure("tries 1");
  expect_refused(run(artifact(server_.uri("silent/a"))), {"silent/a"});
}

// covers: F38
TEST_F(OddServerTest, AByteASecondIsAStall) {
  configure("tries 1");
  expect_refused(run(artifact(server_.uri("drip/a"))), {"drip/a"});
}

// covers: F38
TEST_F(OddServerTest, OtherBytesThanTheDigestSays) {
  const std::string wanted = sha256(OddServer::content("a"));
  Artifact wrong = artifact(server_.uri("wrong/a"));
  wrong.sha256 = wanted;
  expect_refused(run(wrong), {wanted, sha256(OddServer::content("a", 2)), "sha256"});
}

TEST_F(OddServerTest, AMirrorHasThem) {
  Artifact wanted = with_digest("wrong/a", OddServer::content("a"));
  wanted.mirrors = {server_.uri("404/a"), server_.uri("ok/a")};
  expect_fetched(run(wanted), "a", OddServer::content("a"));
}

// covers: limit fetch max_size
TEST_F(OddServerTest, TooMuch) {
  Artifact big = artifact(server_.uri("ok/a"));
  big.max_size = 299'999;
  expect_refused(run(big), {"ok/a"});
  Artifact endless = artifact(server_.uri("endless/a"));
  endless.max_size = 1 << 20;
  expect_refused(run(endless), {"endless/a"});
  big.max_size = 300'000;
  expect_fetched(run(big), "a", OddServer::content("a"));
}

TEST_F(OddServerTest, ALoopOfRedirects) {
  expect_refused(run(artifact(server_.uri("loop/a"))), {"loop/a", "redirect"});
}

// covers: S20
TEST_F(OddServerTest, CredentialsGoToTheirHostOnly) {
  const OddServer other;
  const std::string secret = "Bearer canary-1234567890";
  ASSERT_TRUE(replace_file(temp_ / "credentials/key",
                           "host 127.0.0.1\nheader Authorization: " + secret + "\nplain yes\n", 0600));
  Artifact wanted = artifact(server_.uri("ok/a"));
  wanted.credential = "key";
  wanted.headers = {{"X-Token", "canary-of-the-task"}};
  const End direct = run(wanted);
  EXPECT_EQ(direct.status, 0) << direct.err;
  EXPECT_NE(server_.log().at(0).find(secret), std::string::npos) << server_.log().at(0);

  // The same address by another name is another host; the headers of the task keep to the port too.
  std::string elsewhere = other.uri("headers/b");
  elsewhere.replace(elsewhere.find("127.0.0.1"), 9, "localhost");
  wanted.uri = server_.uri("to?" + elsewhere);
  wanted.output_file = "b";
  const End redirected = run(wanted);
  EXPECT_EQ(redirected.status, 0) << redirected.err;
  EXPECT_EQ(content_of("b").find("canary"), std::string::npos) << content_of("b");
  for (const std::string& line : other.log()) EXPECT_EQ(line.find("canary"), std::string::npos) << line;

  wanted.uri = server_.uri("404/a");  // its answer repeats what it was told
  const End refused = run(wanted);
  EXPECT_EQ(refused.status, 1);
  for (const std::string& text :
       {direct.out, direct.err, redirected.out, redirected.err, refused.out, refused.err, status().words})
    EXPECT_EQ(text.find("canary"), std::string::npos) << text;
}

// covers: F38
TEST_F(OddServerTest, ThirtyTwoWantOneAndOneDownloads) {
  if (::geteuid() != 0) GTEST_SKIP() << "the cache is root's";
  Artifact wanted = with_digest("ok/a", OddServer::content("a"));
  wanted.cache = CacheUse::kWithDigest;
  std::vector<std::thread> tasks;
  std::atomic<int> good = 0;
  for (int i = 0; i < 32; ++i) {
    tasks.emplace_back([&, i] {
      Artifact own = wanted;
      own.output_file = "copy-" + std::to_string(i);
      good += run(own).status == 0;
    });
  }
  for (std::thread& task : tasks) task.join();
  EXPECT_EQ(good, 32);
  EXPECT_EQ(server_.log().size(), 1u);
  EXPECT_EQ(names().size(), 32u);
  for (const std::string& name : names()) EXPECT_TRUE(content_of(name) == OddServer::content("a")) << name;
}

TEST_F(OddServerTest, WhatIsLeftOfAFailureDoesNotDisturbTheNextTry) {
  configure("tries 1");
  EXPECT_EQ(run(with_digest("cut/1/a", OddServer::content("a"))).status, 0)
      << "more of it counts as a try with success";
  EXPECT_EQ(names(), std::vector<std::string>{"a"});
}

}  // namespace
}  // namespace dewar
