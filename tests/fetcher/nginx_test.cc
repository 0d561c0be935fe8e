// dewar-fetch against a real web server, with TLS made here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "base/digest.h"
#include "base/files.h"
#include "base/process.h"
#include "tests/fetcher/fetch_rig.h"
#include "tests/support/wait_in.h"

namespace dewar {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr std::size_t kSize = 3'000'000;

int free_port() {
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof any;
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&any), size), 0);
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&any), &size);
  return ntohs(any.sin_port);
}

void shell(const std::string& command) {
  const int status = std::system(command.c_str());
  ASSERT_EQ(WEXITSTATUS(status), 0) << command;
}

class NginxTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!exists("/usr/sbin/nginx")) GTEST_SKIP() << "needs nginx (packaging/packages)";
    if (!exists("/usr/bin/openssl")) GTEST_SKIP() << "needs openssl (packaging/packages)";
    bytes_.resize(kSize);
    for (std::size_t i = 0; i < kSize; ++i) bytes_[i] = static_cast<char>((i * 2654435761u) >> 13);
    make_files();
    plain_ = free_port(), tls_ = free_port(), expired_ = free_port();
    ASSERT_TRUE(replace_file(folder_ / "nginx.conf", nginx_conf()));
    server_.emplace(
        std::vector<std::string>{"/usr/sbin/nginx", "-e", folder_ / "error.log", "-c", folder_ / "nginx.conf"}, false);
    rig_.configure("ca_bundle " + (folder_ / "ca.pem"));
    // It writes its number once it listens.
    ASSERT_TRUE(wait_in(folder_.path(), [&] { return exists(folder_ / "pid"); }));
  }

  /// A CA, a certificate of it for 127.0.0.1, and one that is over.
  void make_files() {
    ASSERT_EQ(::mkdir((folder_ / "www").c_str(), 0755), 0);
    ASSERT_EQ(::chmod(folder_.path().c_str(), 0755), 0);
    ASSERT_TRUE(replace_file(folder_ / "www/big.bin", bytes_));
    const std::string in = "cd '" + folder_.path() + "' && ";
    const std::string key = "openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -batch -subj /CN=";
    shell(in + key + "ca -x509 -days 2 -keyout ca.key -out ca.pem 2>/dev/null");
    for (const std::string name : {"good", "expired"}) {
      shell(in + "printf 'subjectAltName=IP:127.0.0.1' > san && " + key + name + " -keyout " + name + ".key -out " +
            name + ".csr 2>/dev/null && openssl x509 -req -in " + name +
            ".csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile san" + (name == "good" ? " -days 2" : " -days -1") +
            " -out " + name + ".pem 2>/dev/null");
    }
  }

  std::string nginx_conf() const {
    const auto tls = [&](int port, const std::string& name) {
      return "server { listen 127.0.0.1:" + std::to_string(port) + " ssl http2; root " + (folder_ / "www") +
             "; ssl_certificate " + (folder_ / name) + ".pem; ssl_certificate_key " + (folder_ / name) + ".key; }\n";
    };
    std::string temp;
    for (const char* what : {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"})
      temp += std::string(what) + "_temp_path " + (folder_ / what) + ";\n";
    return "daemon off; master_process off; pid " + (folder_ / "pid") + ";\nevents {}\nhttp {\n" + temp +
           "log_format how '$request_method $uri $server_protocol $status $http_range "
           "$http_if_none_match';\naccess_log " +
           (folder_ / "access.log") + " how;\nserver { listen 127.0.0.1:" + std::to_string(plain_) + "; root " +
           (folder_ / "www") + "; }\n" + tls(tls_, "good") + tls(expired_, "expired") + "}\n";
  }

  std::string url(int port, const std::string& scheme = "https") const {
    return scheme + "://127.0.0.1:" + std::to_string(port) + "/big.bin";
  }
  int asked(const std::string& words) const {
    const auto log = read_file(folder_ / "access.log");
    int found = 0;
    for (std::size_t at = log ? log->find(words) : std::string::npos; at != std::string::npos;
         at = log->find(words, at + 1))
      ++found;
    return found;
  }

  TempFolder folder_;
  FetchRig rig_;
  std::string bytes_;
  int plain_ = 0, tls_ = 0, expired_ = 0;
  std::optional<Server> server_;
};

// covers: F38
TEST_F(NginxTest, TlsIsVerifiedAndHttp2Spoken) {
  const FetchOutcome got = rig_.fetch(url(tls_));
  EXPECT_EQ(got.exit, 0) << got.err;
  EXPECT_EQ(rig_.file("big.bin"), bytes_);
  EXPECT_EQ(asked("GET /big.bin HTTP/2.0 200"), 1);

  const FetchOutcome over = rig_.fetch(url(expired_));
  EXPECT_EQ(over.exit, 1);
  EXPECT_THAT(over.err, HasSubstr("certificate has expired"));
  rig_.configure("ca_bundle /etc/ssl/certs/ca-certificates.crt");
  const FetchOutcome stranger = rig_.fetch(url(tls_));
  EXPECT_EQ(stranger.exit, 1);
  EXPECT_THAT(stranger.err, HasSubstr("certificate"));
  EXPECT_EQ(asked("GET"), 1) << "nobody asked a server he did not trust";
}

// covers: F39
TEST_F(NginxTest, ThirtyTwoThatWantOneObjectCauseOneDownload) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, for the cache";
  constexpr int kTasks = 32;
  Artifact wanted = artifact(url(plain_, "http"), sha256(bytes_));
  std::vector<pid_t> tasks;
  for (int i = 0; i < kTasks; ++i) {
    const std::string sandbox = rig_.path("task" + std::to_string(i));
    ASSERT_EQ(::mkdir(sandbox.c_str(), 0700), 0);
    ASSERT_EQ(::chown(sandbox.c_str(), 65534, 65534), 0);
    FetchRequest request = rig_.request({wanted});
    request.folder = sandbox;
    tasks.push_back(rig_.start(request, rig_.path("log" + std::to_string(i))));
  }
  for (int i = 0; i < kTasks; ++i) {
    int status = 0;
    ASSERT_EQ(::waitpid(tasks[static_cast<std::size_t>(i)], &status, 0), tasks[static_cast<std::size_t>(i)]);
    EXPECT_EQ(status, 0) << *read_file(rig_.path("log" + std::to_string(i)) + ".err");
    EXPECT_EQ(*read_file(rig_.path("task" + std::to_string(i)) + "/big.bin"), bytes_);
  }
  EXPECT_EQ(asked("GET /big.bin"), 1);
}

// covers: F39
TEST_F(NginxTest, OneThatIsKilledInTheMiddleLeavesTheDownloadToTheNext) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, for the cache";
  const OddServer slow;
  Artifact wanted = artifact(slow.uri("drip/a"), sha256(OddServer::content("a")));
  const pid_t first = rig_.start(rig_.request({wanted}), rig_.path("first"));
  slow.wait_until_asked("drip/a", 1);
  const pid_t second = rig_.start(rig_.request({wanted}), rig_.path("second"));
  const auto waits = open_child(second);
  ASSERT_EQ(::kill(first, SIGKILL), 0);
  ::waitpid(first, nullptr, 0);
  slow.wait_until_asked("drip/a", 2);  // the second one asks by itself
  EXPECT_FALSE(has_ended(*waits));
  ::kill(second, SIGKILL);
  ::waitpid(second, nullptr, 0);
  EXPECT_THAT(rig_.names(), IsEmpty());
}

TEST_F(NginxTest, WithoutADigestTheServerIsAskedWhetherItChanged) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, for the cache";
  Artifact kept = artifact(url(plain_, "http"));
  kept.cache = CacheUse::kYes;
  EXPECT_EQ(rig_.fetch({kept}).exit, 0);
  const FetchOutcome again = rig_.fetch({kept});
  EXPECT_EQ(again.exit, 0) << again.err;
  EXPECT_EQ(again.status.items.at(0).from, "cache");
  EXPECT_EQ(asked("GET /big.bin HTTP/1.1 304"), 1);
  EXPECT_EQ(rig_.file("big.bin"), bytes_);
  bytes_[0] = static_cast<char>(bytes_[0] + 1);
  bytes_ += "more";
  ASSERT_TRUE(replace_file(folder_ / "www/big.bin", bytes_));
  EXPECT_EQ(rig_.fetch({kept}).exit, 0);
  EXPECT_EQ(rig_.file("big.bin"), bytes_);
}

// What a task finds is not the cache's to be changed through it.
TEST_F(NginxTest, ATaskCannotChangeWhatOthersGet) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, for the cache";
  const Artifact wanted = artifact(url(plain_, "http"), sha256(bytes_));
  ASSERT_EQ(rig_.fetch({wanted}).exit, 0);
  const std::string file = rig_.sandbox() + "/big.bin";
  ASSERT_EQ(::chmod(rig_.path(".").c_str(), 0755), 0);
  shell("setpriv --reuid=65534 --clear-groups sh -c 'echo evil 2>/dev/null >\"" + file + "\"; chmod u+w \"" + file +
        "\" 2>/dev/null; echo evil 2>/dev/null >\"" + file + "\"; true'");
  FetchRequest other = rig_.request({wanted});
  other.folder = rig_.path("other");
  ASSERT_EQ(::mkdir(other.folder.c_str(), 0755), 0);
  ASSERT_EQ(::chown(other.folder.c_str(), 65534, 65534), 0);
  EXPECT_EQ(rig_.run(other).exit, 0);
  EXPECT_EQ(*read_file(other.folder + "/big.bin"), bytes_);
}

}  // namespace
}  // namespace dewar
