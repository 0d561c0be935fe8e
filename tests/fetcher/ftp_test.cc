// dewar-fetch against a real FTP server, plain and with TLS.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>

#include "base/digest.h"
#include "base/files.h"
#include "tests/fetcher/peer_fixture.h"

namespace dewar {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class FtpTest : public PeerTest {
 protected:
  void SetUp() override {
    if (std::system("/usr/bin/python3 -c 'import pyftpdlib' 2>/dev/null") != 0)
      GTEST_SKIP() << "needs python3-pyftpdlib (packaging/packages)";
    ASSERT_EQ(::mkdir((folder_ / "www").c_str(), 0755), 0);
    for (const char* name : {"a.bin", "cut.bin", "private"})
      ASSERT_TRUE(replace_file(folder_ / "www/" + name, bytes_, 0644));
  }

  /// Starts the server. `options`: as ftp_server.py takes them.
  void serve(const std::vector<std::string>& options = {}) {
    std::vector<std::string> argv{"/usr/bin/python3", DEWAR_SOURCE "/tests/support/ftp_server.py", folder_ / "www",
                                  folder_ / "log"};
    argv.insert(argv.end(), options.begin(), options.end());
    server_.emplace(argv);
    ASSERT_NE(server_->line(), "") << "ftp_server.py did not start";
  }
  void serve_tls(std::vector<std::string> options = {}) {
    if (std::system("/usr/bin/python3 -c 'import OpenSSL' 2>/dev/null") != 0)
      GTEST_SKIP() << "needs python3-openssl (packaging/packages)";
    make_certificate();
    ASSERT_TRUE(replace_file(folder_ / "both", *read_file(folder_ / "key") + *read_file(folder_ / "cert"), 0600));
    options.insert(options.end(), {"--tls", folder_ / "both"});
    serve(options);
  }
  std::string url(const std::string& path, const std::string& scheme = "ftp", const std::string& user = "") const {
    return scheme + "://" + user + "127.0.0.1:" + server_->line() + "/" + path;
  }
  Artifact private_one(const std::string& scheme) {
    Artifact made = artifact(url("private", scheme));
    made.credential = "tom";
    return made;
  }

  static std::string made_bytes() {
    std::string bytes(3'000'000, '\0');
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>((i * 2654435761u) >> 13);
    return bytes;
  }

  const std::string bytes_ = made_bytes();  // with every value, so that a mode other than binary would show
  std::optional<Server> server_;
};

TEST_F(FtpTest, AFile) {
  serve();
  const FetchOutcome outcome = rig_.fetch(url("a.bin"));
  EXPECT_EQ(outcome.exit, 0) << outcome.err;
  EXPECT_TRUE(rig_.file("a.bin") == bytes_);
  EXPECT_EQ(outcome.status.items.at(0).from, "127.0.0.1");
}

TEST_F(FtpTest, WithItsDigestACutOneGoesOnWhereItWas) {
  serve();
  const FetchOutcome outcome = rig_.fetch({artifact(url("cut.bin"), sha256(bytes_))});
  EXPECT_EQ(outcome.exit, 0) << outcome.err;
  EXPECT_TRUE(rig_.file("cut.bin") == bytes_);
  EXPECT_THAT(log(), HasSubstr("REST "));
}

TEST_F(FtpTest, WithoutADigestACutOneBeginsAnew) {
  serve();
  const FetchOutcome outcome = rig_.fetch(url("cut.bin"));
  EXPECT_EQ(outcome.exit, 0) << outcome.err;
  EXPECT_TRUE(rig_.file("cut.bin") == bytes_);
  EXPECT_THAT(log(), Not(HasSubstr("REST ")));
}

// One that knows no REST.
TEST_F(FtpTest, AServerWithoutRestIsReadFromTheBeginning) {
  serve({"--no-rest"});
  const FetchOutcome outcome = rig_.fetch({artifact(url("cut.bin"), sha256(bytes_))});
  EXPECT_EQ(outcome.exit, 0) << outcome.err;
  EXPECT_TRUE(rig_.file("cut.bin") == bytes_);
  EXPECT_THAT(log(), HasSubstr("REST "));
}

TEST_F(FtpTest, NoSuchFile) {
  serve();
  expect_refused(rig_.fetch(url("none.bin")), "after 3 tries");
}

TEST_F(FtpTest, TooBig) {
  serve();
  Artifact big = artifact(url("a.bin"));
  big.max_size = 1'000'000;
  expect_refused(rig_.fetch({big}), "more than its max_size");
}

TEST_F(FtpTest, AWrongPassword) {
  serve();
  const FetchOutcome outcome = rig_.fetch(url("private", "ftp", "tom:mistaken@"));
  expect_refused(outcome, "denied");
  EXPECT_THAT(outcome.err, Not(HasSubstr("mistaken")));
  EXPECT_EQ(log().find("PASS"), log().rfind("PASS")) << "a refused password is sent once";
}

TEST_F(FtpTest, AUserInTheUri) {
  serve();
  const FetchOutcome outcome = rig_.fetch(url("private", "ftp", "tom:secret@"));
  EXPECT_EQ(outcome.exit, 0) << outcome.err;
  EXPECT_THAT(outcome.out, Not(HasSubstr("secret")));
}

TEST_F(FtpTest, ACredentialIsSentToItsHostAlone) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, for a credential that others cannot read";
  serve();
  write_credential("tom", "host 127.0.0.1\nuser tom\npassword secret\n");
  expect_refused(rig_.fetch({private_one("ftp")}), "is not sent without TLS");
  EXPECT_THAT(log(), Not(HasSubstr("PASS")));
  write_credential("tom", "host example.com\nuser tom\npassword secret\nplain yes\n");
  EXPECT_NE(rig_.fetch({private_one("ftp")}).exit, 0);
  EXPECT_THAT(log(), Not(HasSubstr("tom")));
  write_credential("tom", "host 127.0.0.1\nuser tom\npassword secret\nplain yes\n");
  const FetchOutcome outcome = rig_.fetch({private_one("ftp")});
  EXPECT_EQ(outcome.exit, 0) << outcome.err;
  EXPECT_TRUE(rig_.file("private") == bytes_);
}

TEST_F(FtpTest, WithTls) {
  ASSERT_NO_FATAL_FAILURE(serve_tls());
  if (IsSkipped()) return;
  trust_certificate();
  const FetchOutcome outcome = rig_.fetch({artifact(url("cut.bin", "ftps"), sha256(bytes_))});
  EXPECT_EQ(outcome.exit, 0) << outcome.err;
  EXPECT_TRUE(rig_.file("cut.bin") == bytes_);
  EXPECT_THAT(log(), HasSubstr("REST "));
  EXPECT_THAT(log(), HasSubstr("PROT P"));
}

TEST_F(FtpTest, TlsThatDoesNotVerify) {
  ASSERT_NO_FATAL_FAILURE(serve_tls());
  if (IsSkipped()) return;
  expect_refused(rig_.fetch(url("a.bin", "ftps")), "certificate");
  EXPECT_EQ(log(), "");
}

// ftps that protects the orders alone would send the file in clear.
TEST_F(FtpTest, TlsForTheOrdersAloneIsNotEnough) {
  ASSERT_NO_FATAL_FAILURE(serve_tls({"--no-prot"}));
  if (IsSkipped()) return;
  trust_certificate();
  expect_refused(rig_.fetch(url("a.bin", "ftps")), "127.0.0.1");
  EXPECT_THAT(log(), Not(HasSubstr("RETR")));
}

}  // namespace
}  // namespace dewar
