// `dewar fetch` and `dewar cache` as a person types them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/files.h"
#include "tests/cli/dewar_command.h"
#include "tests/fetcher/fetch_fixture.h"

namespace dewar {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class FetchCommandTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(make_dirs(folder_ / "into"));
    ASSERT_TRUE(replace_file(folder_ / "fetch.conf", "cache_folder " + (folder_ / "cache") + "\nbackoff 10ms\n", 0600));
  }
  std::vector<std::string> with_config(std::vector<std::string> words) const {
    words.insert(words.end(), {"--config", folder_ / "fetch.conf"});
    return words;
  }
  TempFolder folder_;
  OddServer server_;
};

TEST_F(FetchCommandTest, TellsTheDigestAsSha256sumDoes) {
  DewarCommand fetch(with_config({"fetch", server_.uri("ok/a"), "--into", folder_ / "into"}));
  EXPECT_EQ(fetch.wait(), 0) << fetch.err();
  EXPECT_EQ(fetch.out(), sha256(OddServer::content("a")) + "  a\n");
  EXPECT_EQ(fetch.err(), "");
  EXPECT_EQ(*read_file(folder_ / "into/a"), OddServer::content("a"));
}

TEST_F(FetchCommandTest, OnATerminalThereIsABar) {
  DewarCommand fetch(with_config({"fetch", server_.uri("stall/1/a"), "--into", folder_ / "into", "--sha256",
                                  sha256(OddServer::content("a"))}),
                     DewarCommand::Output::kTerminal);
  EXPECT_TRUE(fetch.wait_for("[#######################-] a: 99 % of 293.0 KB"));
  fetch.signal(SIGKILL);
  fetch.wait();
}

TEST_F(FetchCommandTest, FailuresAreWordsOrJson) {
  DewarCommand words(with_config({"fetch", server_.uri("404/a"), "--into", folder_ / "into"}));
  EXPECT_EQ(words.wait(), 1);
  EXPECT_THAT(words.err(),
              HasSubstr("dewar fetch: " + server_.uri("404/a") + ": HTTP 404 from 127.0.0.1 after 3 tries"));
  DewarCommand program(with_config({"fetch", server_.uri("404/a"), "--into", folder_ / "into", "-o", "json"}));
  EXPECT_EQ(program.wait(), 1);
  EXPECT_THAT(json::parse(program.out())["error"], HasSubstr("HTTP 404"));
  for (const std::vector<std::string>& wrong :
       std::vector<std::vector<std::string>>{{"fetch", "host/a"},
                                             {"fetch", server_.uri("ok/a"), "--sha256", "12"},
                                             {"fetch", server_.uri("ok/a"), "--output-file", "../a"},
                                             {"fetch", server_.uri("ok/a"), "--into", folder_ / "nowhere"},
                                             {"fetch", server_.uri("ok/a"), "--header", "none"}}) {
    DewarCommand refused(wrong);
    EXPECT_EQ(refused.wait(), 2) << wrong.back();
    EXPECT_THAT(refused.err(), ::testing::Not(IsEmpty())) << wrong.back();
  }
  EXPECT_THAT(*list_dir(folder_ / "into"), IsEmpty());
}

TEST_F(FetchCommandTest, TheCacheIsListedVerifiedAndEvicted) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, for the cache";
  const std::string digest = sha256(OddServer::content("a"));
  DewarCommand fetch(
      with_config({"fetch", server_.uri("ok/a"), "--cache", "--sha256", digest, "--into", folder_ / "into"}));
  ASSERT_EQ(fetch.wait(), 0) << fetch.err();
  DewarCommand list(with_config({"cache", "ls", "-o", "json"}));
  EXPECT_EQ(list.wait(), 0);
  const json held = json::parse(list.out());
  EXPECT_EQ(held["bytes"], 300000);
  EXPECT_EQ(held["held"][0]["sha256"], digest);
  EXPECT_EQ(held["held"][0]["uris"][0], server_.uri("ok/a"));
  const std::string entry = folder_ / "cache/blobs/shared/" + digest;
  DewarCommand sound(with_config({"cache", "verify", "-o", "json"}));
  EXPECT_EQ(sound.wait(), 0);
  EXPECT_THAT(json::parse(sound.out())["damaged"], IsEmpty());
  ASSERT_TRUE(replace_file(entry, "other bytes"));
  DewarCommand verify(with_config({"cache", "verify"}));
  EXPECT_EQ(verify.wait(), 1);
  EXPECT_THAT(verify.out(), HasSubstr("1 entry damaged"));
  EXPECT_FALSE(exists(entry));
  DewarCommand evict(with_config({"cache", "evict"}));
  EXPECT_EQ(evict.wait(), 0);
  EXPECT_THAT(evict.out(), HasSubstr("0 entries evicted"));
  DewarCommand again(
      with_config({"fetch", server_.uri("ok/a"), "--cache", "--sha256", digest, "--into", folder_ / "into"}));
  ASSERT_EQ(again.wait(), 0) << again.err();
  DewarCommand last(with_config({"cache", "evict", "-o", "json"}));
  EXPECT_EQ(last.wait(), 0);
  EXPECT_EQ(json::parse(last.out())["evicted"][0]["sha256"], digest);
}

}  // namespace
}  // namespace dewar
