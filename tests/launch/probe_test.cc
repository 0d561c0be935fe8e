// A probe on the real kernel, against servers that do what no server should. The server is a thread of the test: the
// container has the host's network.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <thread>

#include "base/files.h"
#include "tests/launch/launch_fixture.h"

namespace dewar::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

/// Listens at a loopback address, and has `serve` do what it likes with one connection.
class Server {
 public:
  explicit Server(std::function<void(int)> serve, int family = AF_INET) : serve_(std::move(serve)) {
    listener_.reset(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in four{};
    four.sin_family = AF_INET, four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sockaddr_in6 six{};
    six.sin6_family = AF_INET6, six.sin6_addr = in6addr_loopback;
    const bool is_four = family == AF_INET;
    auto* address = is_four ? reinterpret_cast<sockaddr*>(&four) : reinterpret_cast<sockaddr*>(&six);
    socklen_t size = is_four ? sizeof four : sizeof six;
    EXPECT_EQ(::bind(listener_.get(), address, size), 0);
    EXPECT_EQ(::listen(listener_.get(), 1), 0);
    EXPECT_EQ(::getsockname(listener_.get(), address, &size), 0);
    port_ = ntohs(is_four ? four.sin_port : six.sin6_port);
    thread_ = std::thread([this] {
      const UniqueFd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (connection) serve_(connection.get());
    });
  }
  ~Server() {
    ::shutdown(listener_.get(), SHUT_RDWR);  // in case nobody came
    thread_.join();
  }
  std::uint16_t port() const { return port_; }

 private:
  std::function<void(int)> serve_;
  UniqueFd listener_;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

/// Sends until the other end is gone; false then.
bool say(int connection, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

/// Until the other end is gone.
void wait_for_end(int connection) {
  char byte = 0;
  while (::recv(connection, &byte, 1, 0) > 0) {
  }
}

class ProbeTest : public LaunchTest {
 protected:
  void SetUp() override {
    LaunchTest::SetUp();
    if (!IsSkipped()) make_container();
  }
  /// "0 answered 200 OK": exit status and output.
  std::string ask(std::uint16_t port, const std::string& body = "ok",
                  std::chrono::nanoseconds timeout = std::chrono::seconds(30), uid_t user = 65534) {
    AttemptRecipe recipe = attempt_recipe("");
    recipe.argv.clear();
    recipe.user = {"somebody", user, 65534, {}};
    recipe.probe = HttpProbe{port, "/health", body, 0, timeout};
    const AttemptStatus status = run(recipe);
    EXPECT_EQ(status.stage, AttemptStage::kEnded) << explain_step(status.step, status.error, status.detail);
    return std::to_string(status.return_code) + " " + out();
  }
  std::string ask(const std::function<void(int)>& serve, const std::string& body = "ok",
                  std::chrono::nanoseconds timeout = std::chrono::seconds(30)) {
    const Server server(serve);
    return ask(server.port(), body, timeout);
  }
};

constexpr auto kSoon = std::chrono::milliseconds(300);

TEST_F(ProbeTest, AsksAndTellsTheAnswer) {
  std::string request;
  const auto serve = [&](int connection) {
    char buffer[4096];
    const ssize_t size = ::recv(connection, buffer, sizeof buffer, 0);
    request.assign(buffer, static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
    say(connection, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nOK\n");
  };
  EXPECT_EQ(ask(serve), "0 answered 200 OK\n");
  EXPECT_THAT(request, StartsWith("GET /health HTTP/1.1\r\nHost: localhost:"));
  EXPECT_EQ(ask([](int connection) { say(connection, "HTTP/1.1 500 Oops\r\n\r\nno database"); }),
            "1 answered 500 Oops: 'no database' instead of 'ok'\n");
  const Server six([](int connection) { say(connection, "HTTP/1.1 200 OK\r\n\r\nok"); }, AF_INET6);
  EXPECT_EQ(ask(six.port(), "ok", std::chrono::seconds(30), 0), "0 answered 200 OK\n");
}

TEST_F(ProbeTest, TellsThatNobodyListens) {
  std::uint16_t port = 0;
  {
    const Server gone([](int) {});
    port = gone.port();
  }
  EXPECT_EQ(ask(port), "1 refused the connection: nobody listens\n");
}

TEST_F(ProbeTest, SurvivesHostileAnswers) {
  EXPECT_EQ(ask([](int connection) {
              say(connection, "HTTP/1.1 200 OK\r\n");
              while (say(connection, "X-Endless: yes\r\n")) {
              }
            }),
            "1 answered with headers that have no end\n");
  EXPECT_EQ(ask([](int connection) {
              say(connection, "HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n");
              const std::string block(1u << 20, 'x');
              for (int i = 0; i < 1024 && say(connection, block); ++i) {
              }
            }),
            "1 answered 200 OK: '" + std::string(120, 'x') + "' instead of 'ok'\n");
  EXPECT_EQ(ask([](int connection) {
              say(connection, std::string("\0\0\0\0", 4));
              wait_for_end(connection);
            }),
            "1 answered what is no HTTP: '" + std::string(4, '\0') + "'\n");
  EXPECT_THAT(ask([](int) {}), StartsWith("1 "));  // closed at once: reset, or no answer
  EXPECT_EQ(ask([](int connection) {
              char buffer[4096];
              ::recv(connection, buffer, sizeof buffer, 0);
            }),
            "1 closed the connection without an answer\n");
}

TEST_F(ProbeTest, EndsInTimeWhateverComes) {
  EXPECT_EQ(ask(wait_for_end, "ok", kSoon), "1 gave no answer within 300ms\n");
  const auto drip = [](std::string_view head) {
    return [head](int connection) {  // a byte at a time, for ever
      if (!say(connection, head)) return;
      while (say(connection, "x")) ::usleep(20000);
    };
  };
  EXPECT_EQ(ask(drip("HTTP/1.1 200 OK\r\n"), "ok", kSoon), "1 gave no answer within 300ms\n");
  EXPECT_THAT(ask(drip("HTTP/1.1 200 OK\r\n\r\n"), "ok", kSoon),
              HasSubstr("instead of 'ok'; its body had no end within 300ms\n"));
  EXPECT_EQ(ask(drip("HTTP/1.1 200 OK\r\n\r\n"), ""), "0 answered 200 OK\n");
  EXPECT_EQ(ask([](int connection) {
              while (say(connection, "HTTP/1.1 100 Continue\r\n\r\n")) {
              }
            }),
            "1 answered without an end\n");
}

TEST_F(ProbeTest, IsTheTasksUserWithoutAnyRight) {
  std::string status;
  EXPECT_EQ(ask([&](int connection) {
              for (const std::string& name : *list_dir("/proc")) {
                const auto comm = read_file("/proc/" + name + "/comm");
                const auto told = read_file("/proc/" + name + "/status");
                if (comm && *comm == "dewar-probe\n" && told) status = *told;
              }
              say(connection, "HTTP/1.1 200 OK\r\n\r\nok");
            }),
            "0 answered 200 OK\n");
  EXPECT_THAT(status, HasSubstr("Uid:\t65534\t65534\t65534\t65534\n"));
  EXPECT_THAT(status, HasSubstr("CapBnd:\t0000000000000000\n"));
  EXPECT_THAT(status, HasSubstr("NoNewPrivs:\t1\n"));
}

}  // namespace
}  // namespace dewar::testing
