// dewar-fetch through a proxy.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <optional>

#include "base/digest.h"
#include "base/files.h"
#include "tests/fetcher/fetch_rig.h"

namespace dewar {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class ProxyTest : public testing::Test {
 protected:
  /// Starts the proxy and has it used. `status`: what it refuses everything with.
  void proxy(const std::string& status = "") {
    std::vector<std::string> argv{"/usr/bin/python3", DEWAR_SOURCE "/tests/support/proxy.py", folder_ / "log"};
    if (!status.empty()) argv.push_back(status);
    proxy_.emplace(argv);
    ASSERT_NE(proxy_->line(), "") << "proxy.py did not start";
    rig_.configure("proxy http://127.0.0.1:" + proxy_->line());
  }
  /// An odd server with TLS that the fetcher believes.
  void serve_tls() {
    ASSERT_EQ(::chmod(folder_.path().c_str(), 0755), 0);
    const std::string make = "cd '" + folder_.path() +
                             "' && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -batch "
                             "-subj /CN=odd -addext subjectAltName=IP:127.0.0.1 -days 2 -keyout key -out cert "
                             "2>/dev/null";
    ASSERT_EQ(std::system(make.c_str()), 0) << "needs openssl (packaging/packages)";
    tls_.emplace(folder_ / "cert", folder_ / "key");
    rig_.configure("ca_bundle " + (folder_ / "cert"));
  }
  std::string log() const {
    const auto text = read_file(folder_ / "log");
    return text ? *text : "";
  }
  void expect_refused(const FetchOutcome& outcome, const std::string& words) {
    EXPECT_EQ(outcome.exit, 1);
    EXPECT_THAT(outcome.err, HasSubstr(words));
    EXPECT_THAT(rig_.names(), IsEmpty());
  }

  const TempFolder folder_;
  const OddServer server_;
  std::optional<OddServer> tls_;
  std::optional<Server> proxy_;
  FetchRig rig_;
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
