// dewar-fetch through a proxy.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <optional>

#include "base/digest.h"
#include "base/files.h"
#include "tests/fetcher/peer_fixture.h"

namespace dewar {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class ProxyTest : public PeerTest {
 protected:
  /// Starts the proxy and has it used. `refusal`: what it refuses everything with. `login`: USER:PASSWORD it wants.
  void proxy(const std::string& refusal = "", const std::string& login = "") {
    std::vector<std::string> argv{"/usr/bin/python3", DEWAR_SOURCE "/tests/support/proxy.py", folder_ / "log"};
    if (!refusal.empty()) argv.insert(argv.end(), {"--refuse", refusal});
    if (!login.empty()) argv.insert(argv.end(), {"--login", login});
    proxy_.emplace(argv);
    ASSERT_NE(proxy_->line(), "") << "proxy.py did not start";
    rig_.configure("proxy http://127.0.0.1:" + proxy_->line());
  }
  /// An odd server with TLS that the fetcher believes.
  void serve_tls() {
    make_certificate();
    tls_.emplace(folder_ / "cert", folder_ / "key");
    trust_certificate();
  }
  const OddServer server_;
  std::optional<OddServer> tls_;
  std::optional<Server> proxy_;
};

TEST_F(ProxyTest, HttpByGet) {
  proxy();
  const FetchOutcome outcome = rig_.fetch(server_.uri("ok/a"));
  EXPECT_EQ(outcome.exit, 0) << outcome.err;
  EXPECT_EQ(rig_.file("a"), OddServer::content("a"));
  EXPECT_EQ(log(), "GET " + server_.uri("ok/a") + "\n");
}

TEST_F(ProxyTest, ACutOneGoesOnWhereItWas) {
  proxy();
  const FetchOutcome outcome = rig_.fetch({artifact(server_.uri("cut/1/a"), sha256(OddServer::content("a")))});
  EXPECT_EQ(outcome.exit, 0) << outcome.err;
  EXPECT_EQ(rig_.file("a"), OddServer::content("a"));
  EXPECT_EQ(asked(server_, "bytes=100000-"), 1);
}

TEST_F(ProxyTest, HttpsByConnect) {
  proxy();
  ASSERT_NO_FATAL_FAILURE(serve_tls());
  Artifact wanted = artifact(tls_->uri("cut/1/a"), sha256(OddServer::content("a")));
  wanted.headers = {{"X-Own", "for the server"}};
  const FetchOutcome outcome = rig_.fetch({wanted});
  EXPECT_EQ(outcome.exit, 0) << outcome.err;
  EXPECT_EQ(rig_.file("a"), OddServer::content("a"));
  EXPECT_THAT(log(), HasSubstr("CONNECT " + tls_->host() + "\n"));
  EXPECT_THAT(log(), Not(HasSubstr("GET")));
}

TEST_F(ProxyTest, WhatIsNotForTheProxyGoesPastIt) {
  proxy();
  rig_.configure("no_proxy example.com,127.0.0.1");
  const FetchOutcome outcome = rig_.fetch(server_.uri("ok/a"));
  EXPECT_EQ(outcome.exit, 0) << outcome.err;
  EXPECT_EQ(log(), "");
}

// The proxy judges only the addresses that it connects to itself.
TEST_F(ProxyTest, WhatGoesPastTheProxyIsLookedAt) {
  proxy();
  rig_.configure("no_proxy 127.0.0.0/8,.localhost");
  FetchRequest request = rig_.request({artifact(server_.uri("ok/a"))});
  request.loopback = false;
  expect_refused(rig_.run(request), "127.0.0.1 is this host itself");
  request.artifacts = {artifact("http://localhost:1/a")};
  expect_refused(rig_.run(request), "is this host itself");
  EXPECT_THAT(server_.log(), IsEmpty());
  EXPECT_EQ(log(), "");
}

constexpr const char* kLogin = "user tom\npassword sesame\nhost 127.0.0.1\n";
constexpr const char* kLoginInBase64 = "dG9tOnNlc2FtZQ==";

/// Everything that a fetch leaves for people: what it said, its status, the cache's notes.
std::string left_by(const FetchRig& rig, const FetchOutcome& outcome) {
  std::string text = outcome.out + outcome.err + *read_file(rig.path("status"));
  for (const std::string folder : {"/notes/0/", "/notes/65534/"}) {
    const auto names = list_dir(rig.cache() + folder);
    if (!names) continue;
    for (const std::string& name : *names) text += name + *read_file(rig.cache() + folder + name);
  }
  return text;
}

// covers: S20
TEST_F(ProxyTest, ItsLoginIsTheOperatorsSecret) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, for a credential that others cannot read";
  proxy("", "tom:sesame");
  ASSERT_NO_FATAL_FAILURE(serve_tls());
  rig_.configure("proxy_credential proxy");
  write_credential("proxy", std::string(kLogin) + "plain yes\n");
  Artifact plain = artifact(server_.uri("headers/plain"));
  plain.cache = CacheUse::kYes;
  const FetchOutcome outcome = rig_.fetch({plain, artifact(tls_->uri("headers/tunnel"))});
  ASSERT_EQ(outcome.exit, 0) << outcome.err;
  EXPECT_THAT(rig_.file("plain"), HasSubstr("User-Agent: dewar-fetch"));
  for (const std::string& shown : {left_by(rig_, outcome), rig_.file("plain"), rig_.file("tunnel")}) {
    EXPECT_THAT(shown, Not(HasSubstr("sesame")));
    EXPECT_THAT(shown, Not(HasSubstr(kLoginInBase64)));
    EXPECT_THAT(shown, Not(HasSubstr("Proxy-Authorization")));
  }
  EXPECT_THAT(log(), HasSubstr("CONNECT " + tls_->host() + " as tom:sesame\n"));
}

TEST_F(ProxyTest, AWrongLoginIsToldWithoutIt) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, for a credential that others cannot read";
  proxy("", "tom:another");
  rig_.configure("proxy_credential proxy");
  write_credential("proxy", std::string(kLogin) + "plain yes\n");
  for (const auto& [uri, words] : {std::pair{server_.uri("ok/a"), "HTTP 407 from 127.0.0.1"},
                                   std::pair{std::string("https://127.0.0.1:1/a"), "the proxy answered HTTP 407"}}) {
    const FetchOutcome outcome = rig_.fetch(uri);
    expect_refused(outcome, words);
    EXPECT_THAT(left_by(rig_, outcome), Not(HasSubstr("sesame")));
    EXPECT_THAT(left_by(rig_, outcome), Not(HasSubstr(kLoginInBase64)));
  }
  EXPECT_THAT(server_.log(), IsEmpty());
}

TEST_F(ProxyTest, ItsLoginIsSentWhereItsFileSaysAlone) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, for a credential that others cannot read";
  proxy("", "tom:sesame");
  rig_.configure("proxy_credential proxy");
  write_credential("proxy", kLogin);
  expect_refused(rig_.fetch(server_.uri("ok/a")), "the proxy_credential is not sent without TLS");
  write_credential("proxy", "user tom\npassword sesame\nhost proxy.example.com\nplain yes\n");
  expect_refused(rig_.fetch(server_.uri("ok/a")), "the proxy_credential names other hosts than the proxy");
  write_credential("proxy", "header X-Token: sesame\nhost 127.0.0.1\n");
  expect_refused(rig_.fetch(server_.uri("ok/a")), "proxy_credential proxy: it names no 'user'");
  EXPECT_EQ(log(), "");
  // Past the proxy nobody gets it.
  write_credential("proxy", std::string(kLogin) + "plain yes\n");
  rig_.configure("no_proxy 127.0.0.1");
  const FetchOutcome outcome = rig_.fetch(server_.uri("headers/a"));
  EXPECT_EQ(outcome.exit, 0) << outcome.err;
  EXPECT_THAT(rig_.file("a"), Not(HasSubstr("Authorization")));
}

// The proxy's own address is the operator's choice.
TEST_F(ProxyTest, AProxyOnThisHostServesATaskWithANetworkOfItsOwn) {
  proxy();
  FetchRequest request = rig_.request({artifact(server_.uri("ok/a"))});
  request.loopback = false;
  const FetchOutcome outcome = rig_.run(request);
  EXPECT_EQ(outcome.exit, 0) << outcome.err;
}

TEST_F(ProxyTest, OneThatRefusesGet) {
  proxy("403");
  expect_refused(rig_.fetch(server_.uri("ok/a")), "HTTP 403 from 127.0.0.1 (last body: \"the proxy's own page\")");
  EXPECT_THAT(server_.log(), IsEmpty());
}

TEST_F(ProxyTest, OneThatRefusesConnect) {
  proxy("403");
  expect_refused(rig_.fetch("https://127.0.0.1:1/a"), "https://127.0.0.1:1/a: the proxy answered HTTP 403\n");
}

TEST_F(ProxyTest, OneThatCannotReachTheServer) {
  proxy("502");
  expect_refused(rig_.fetch("https://127.0.0.1:1/a"), "the proxy answered HTTP 502 after 3 tries");
}

TEST_F(ProxyTest, OneThatRedirectsConnect) {
  proxy("302");
  expect_refused(rig_.fetch("https://127.0.0.1:1/a"), "the proxy answered HTTP 302");
}

TEST_F(ProxyTest, OneThatIsNotThere) {
  rig_.configure("proxy http://127.0.0.1:1");
  expect_refused(rig_.fetch(server_.uri("ok/a")), "Failed to connect to 127.0.0.1 port 1");
  EXPECT_THAT(server_.log(), IsEmpty());
}

// FTP through a proxy is HTTP as far as the proxy: its page is no file.
TEST_F(ProxyTest, APageOfTheProxyIsNoFileOfFtp) {
  proxy("404");
  expect_refused(rig_.fetch("ftp://127.0.0.1:1/a"), "404");
}

}  // namespace
}  // namespace dewar
