// What is decided without a network: addresses, URIs, the operator's files.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <netinet/in.h>

#include "fetcher/address_rules.h"
#include "fetcher/config.h"
#include "fetcher/request.h"
#include "fetcher/transfer.h"
#include "fetcher/uri.h"

namespace dewar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

/// As a fetch would: every spelling goes through the C library's look-up of numbers, then the address is looked at.
std::string refusal(const std::string& host, bool loopback = false, const std::vector<AddressRule>& rules = {}) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_flags = AI_NUMERICHOST;
  if (::getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) return "no address";
  const std::string words = address_refusal(*found->ai_addr, rules, loopback);
  ::freeaddrinfo(found);
  return words;
}

// covers: S19
TEST(AddressRules, MetadataLinkLocalLoopbackAndReservedAreRefusedInEverySpelling) {
  for (const char* host : {"169.254.169.254",
                           "2852039166",
                           "0xa9fea9fe",
                           "0251.0376.0251.0376",
                           "169.254.43518",
                           "169.16689662",
                           "0xa9.0xfe.0xa9.0xfe",
                           "169.254.0.1",
                           "169.254.255.255",
                           "::ffff:169.254.169.254",
                           "::ffff:a9fe:a9fe",
                           "::169.254.169.254",
                           "64:ff9b::169.254.169.254",
                           "64:ff9b:1::169.254.169.254",
                           "2002:a9fe:a9fe::1",
                           "fe80::1",
                           "febf::1",
                           "fd00:ec2::254",
                           "100.100.100.200",
                           "::ffff:100.100.100.200",
                           "1684301000",
                           "168.63.129.16",
                           "192.0.0.192",
                           "127.0.0.1",
                           "127.1",
                           "127.255.255.254",
                           "2130706433",
                           "0177.0.0.1",
                           "0x7f.1",
                           "0x7f000001",
                           "::1",
                           "::ffff:127.0.0.1",
                           "::ffff:7f00:1",
                           "64:ff9b::127.0.0.1",
                           "2002:7f00:1::",
                           "0.0.0.0",
                           "0",
                           "0.0.0.1",
                           "::",
                           "224.0.0.1",
                           "239.255.255.255",
                           "255.255.255.255",
                           "240.0.0.1",
                           "ff02::1"})
    EXPECT_THAT(refusal(host), Not(IsEmpty())) << host;
}

TEST(AddressRules, WhatAClusterNeedsIsOpen) {
  for (const char* host : {"93.184.216.34", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd12:3456::1",
                           "2606:2800:220:1::1", "64:ff9b::8.8.8.8", "::ffff:10.0.0.1"})
    EXPECT_EQ(refusal(host), "") << host;
  for (const char* host : {"127.0.0.1", "::1", "0.0.0.0"}) EXPECT_EQ(refusal(host, true), "") << host;
  EXPECT_THAT(refusal("169.254.169.254", true), HasSubstr("169.254.169.254 is a metadata service"));
}

TEST(AddressRules, TheOperatorsRulesComeFirst) {
  const std::vector<AddressRule> rules{
      *parse_address_rule("10.0.0.0/9", true), *parse_address_rule("10.0.0.0/8", false),
      *parse_address_rule("169.254.1.0/24", true), *parse_address_rule("fd00::/8", false)};
  EXPECT_EQ(refusal("10.127.0.1", false, rules), "");
  EXPECT_EQ(refusal("10.128.0.1", false, rules), "10.128.0.1 is denied by this host's rules");
  EXPECT_EQ(refusal("169.254.1.9", false, rules), "");
  EXPECT_THAT(refusal("fd00::5", false, rules), HasSubstr("denied"));
  EXPECT_THAT(refusal("::ffff:10.200.0.1", false, rules), HasSubstr("denied"));
  for (const char* text :
       {"", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/", "10.0.0.0/x", "fd00::/129", "host", "10.0.0.0/-1"})
    EXPECT_FALSE(parse_address_rule(text, true)) << text;
  EXPECT_TRUE(parse_address_rule("0.0.0.0/0", false));
}

TEST(Progress, TellsBytesRateAndTimeLeft) {
  FetchStatus status;
  status.stage = FetchStage::kLoading;
  status.uri = "https://h/p/svc.tgz";
  status.bytes = 3 << 20;
  EXPECT_EQ(describe_progress(status), "svc.tgz: 3.0 MB");
  status.rate = 1 << 20;
  EXPECT_EQ(describe_progress(status), "svc.tgz: 3.0 MB, 1.0 MB/s");
  status.total = 12 << 20;
  EXPECT_EQ(describe_progress(status), "svc.tgz: 25 % of 12.0 MB, 1.0 MB/s, 10s left");
  status.words = "trying again after: HTTP 500 from 10.0.0.7";
  EXPECT_THAT(describe_progress(status), HasSubstr("svc.tgz: trying again after: HTTP 500 from 10.0.0.7, 25 %"));
  status.stage = FetchStage::kUnpacking;
  EXPECT_EQ(describe_progress(status), "svc.tgz: unpacking");
  status.stage = FetchStage::kDone;
  EXPECT_EQ(describe_progress(status), "");
}

TEST(Uri, NamesAndWhatIsShown) {
  EXPECT_EQ(file_name("https://h/a/b.tgz?x=1#y"), "b.tgz");
  EXPECT_EQ(file_name("https://h/a%20b"), "a b");
  EXPECT_EQ(file_name("https://h/a%2fb"), "artifact");
  EXPECT_EQ(file_name("https://h/%2e%2e"), "artifact");
  EXPECT_EQ(file_name("https://h/x/.."), "artifact");
  EXPECT_EQ(file_name("https://h/a%00b"), "artifact");
  EXPECT_EQ(file_name("/srv/a?b"), "a?b");
  EXPECT_EQ(shown_uri("https://user:pass@h:8/a?token=t#f"), "https://h:8/a");
  EXPECT_EQ(shown_uri("https://h/a@b"), "https://h/a@b");
  EXPECT_EQ(shown_uri("https://a@b@h/x"), "https://h/x");
  EXPECT_EQ(scheme_of("HTTPS://h/a"), "https");
  EXPECT_EQ(file_path("file://localhost/srv/a"), "/srv/a");
  EXPECT_EQ(file_path("file://other/srv/a"), "");
  EXPECT_TRUE(is_archive_name("a.TAR.GZ"));
  for (const char* name : {"a.jar", "a.deb", "tar", "a.tgz.sig"}) EXPECT_FALSE(is_archive_name(name)) << name;
}

TEST(Uri, WhatMayBeMeantForOneUserIsPrivate) {
  Artifact artifact;
  artifact.uri = "https://h/a";
  EXPECT_FALSE(is_private(artifact));
  for (const char* uri : {"https://u@h/a", "https://h/a?sig=x"}) {
    artifact.uri = uri;
    EXPECT_TRUE(is_private(artifact)) << uri;
  }
  artifact.uri = "https://h/a";
  artifact.headers["A"] = "b";
  EXPECT_TRUE(is_private(artifact));
}

// covers: S20
TEST(Transfer, WordsHoldNoSecret) {
  TransferOrder order;
  order.uri = "https://me:swordfish@h/a?sig=AAAA&key=BBBB";
  order.headers["Authorization"] = "Bearer CCCC";
  order.credential.password = "DDDD";
  order.credential.headers = {"X-Token: EEEE"};
  const std::string words =
      without_secrets("swordfish me:swordfish sig=AAAA&key=BBBB AAAA BBBB Bearer CCCC CCCC DDDD EEEE EEEE fine", order);
  for (const char* secret : {"swordfish", "AAAA", "BBBB", "CCCC", "DDDD", "EEEE"})
    EXPECT_THAT(words, Not(HasSubstr(secret)));
  EXPECT_THAT(words, HasSubstr("fine"));
}

TEST(FetchConfig, IsReadLineByLine) {
  const auto config = parse_fetch_config(
      "# ours\ncache_size 1GB\nallow 10.0.0.0/8 # inside\n\ndeny 0.0.0.0/0\ntries 5\nstall_rate 2KB\n"
      "helper hdfs /usr/bin/hadoop fs -cat {uri}\nfile /srv\n");
  ASSERT_TRUE(config) << config.error().message();
  EXPECT_EQ(config->cache_size, 1u << 30);
  EXPECT_EQ(config->rules.size(), 2u);
  EXPECT_EQ(config->tries, 5u);
  EXPECT_THAT(config->helpers.at("hdfs"), ElementsAre("/usr/bin/hadoop", "fs", "-cat", "{uri}"));
  for (const auto& [text, words] : std::vector<std::pair<std::string, std::string>>{
           {"tries\n", "line 1: 'tries' has no value"},
           {"\ntries 0\n", "line 2: '0' is no whole number above 0"},
           {"colour red\n", "line 1: unknown key 'colour'"},
           {"allow host\n", "line 1: 'host' is no address"},
           {"helper http /x\n", "'http' needs no helper"},
           {"helper s3 aws\n", "absolute path"},
           {"cache_folder here\n", "is no absolute path"},
           {"proxy http://tom:sesame@h:3128\n", "line 1: 'proxy' names a user"},
           {"proxy_credential ../x\n", "is no credential's name"}}) {
    const auto bad = parse_fetch_config(text);
    ASSERT_FALSE(bad) << text;
    EXPECT_THAT(bad.error().message(), HasSubstr(words));
  }
}

}  // namespace
}  // namespace dewar
