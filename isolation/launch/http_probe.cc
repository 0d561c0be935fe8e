#include "isolation/launch/http_probe.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <system_error>

#include "base/clock.h"
#include "base/files.h"
#include "base/units.h"
#include "isolation/launch/http_answer.h"

namespace dewar {
namespace {

/// One conversation, which has to be over by a time. Each step tells in `words` why it failed.
class Conversation {
 public:
  explicit Conversation(const HttpProbe& probe) : probe_(probe), deadline_(clock_.now() + probe.timeout) {}

  ProbeVerdict hold() {
    if (!connect() || !send(http_request(probe_))) return {false, words_};
    return receive();
  }

 private:
  /// Whoever is called localhost: 127.0.0.1, or else ::1.
  bool connect() {
    sockaddr_in four{};
    four.sin_family = AF_INET, four.sin_port = htons(probe_.port), four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sockaddr_in6 six{};
    six.sin6_family = AF_INET6, six.sin6_port = htons(probe_.port), six.sin6_addr = in6addr_loopback;
    if (connect_to(reinterpret_cast<const sockaddr*>(&four), sizeof four)) return true;
    const std::string words = words_;
    if (connect_to(reinterpret_cast<const sockaddr*>(&six), sizeof six)) return true;
    words_ = words;
    return false;
  }

  bool connect_to(const sockaddr* address, socklen_t size) {
    socket_.reset(::socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!socket_) return fails("could not be asked", errno);
    if (::connect(socket_.get(), address, size) == 0) return true;
    if (errno != EINPROGRESS) return not_connected(errno);
    if (!wait(POLLOUT)) return false;
    int error = 0;
    socklen_t length = sizeof error;
    ::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &length);
    return error == 0 || not_connected(error);
  }

  bool not_connected(int error) {
    if (error != ECONNREFUSED) return fails("could not be asked", error);
    words_ = "refused the connection: nobody listens";
    return false;
  }

  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent > 0) {
        bytes.remove_prefix(static_cast<std::size_t>(sent));
      } else if (errno == EAGAIN) {
        if (!wait(POLLOUT)) return false;
      } else if (errno != EINTR) {
        return fails("broke the connection", errno);
      }
    }
    return true;
  }

  ProbeVerdict receive() {
    std::string bytes;
    HttpAnswer answer;
    char buffer[8192];
    for (bool ended = false; !ended;) {
      const ssize_t size = ::recv(socket_.get(), buffer, sizeof buffer, 0);
      if (size < 0 && errno == EAGAIN) {
        if (!wait(POLLIN)) return out_of_time(answer);
        continue;
      }
      if (size < 0 && errno == EINTR) continue;
      // Who answers without having read the question resets the connection behind the answer.
      if (size < 0 && (errno != ECONNRESET || bytes.empty()))
        return fails("broke the connection", errno), ProbeVerdict{false, words_};
      ended = size <= 0;
      if (size > 0) bytes.append(buffer, static_cast<std::size_t>(size));
      answer = read_http_answer(bytes, ended);
      if (answer.state == HttpAnswer::State::kWrong) return {false, answer.words};
      if (answer.state == HttpAnswer::State::kPart && bytes.size() > HttpAnswer::kMostBytes)
        return {false, "answered without an end"};
      if (answer.code != 0 && (answer.state == HttpAnswer::State::kWhole || !needs_body(probe_, answer))) break;
      if (clock_.now() >= deadline_) return out_of_time(answer);
    }
    return judge(probe_, answer);
  }

  ProbeVerdict out_of_time(const HttpAnswer& answer) const {
    const std::string within = " within " + format_duration(probe_.timeout);
    if (answer.code == 0) return {false, "gave no answer" + within};
    return {false, judge(probe_, answer).words + "; its body had no end" + within};
  }

  bool wait(short what) {
    pollfd watched{socket_.get(), what, 0};
    for (;;) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - clock_.now());
      if (left.count() <= 0) break;
      constexpr std::int64_t kLongest = 1'000'000;
      if (::poll(&watched, 1, static_cast<int>(std::min<std::int64_t>(left.count(), kLongest))) > 0) return true;
    }
    words_ = "gave no answer within " + format_duration(probe_.timeout);
    return false;
  }

  bool fails(const std::string& what, int error) {
    words_ = what + ": " + std::generic_category().message(error);
    return false;
  }

  const HttpProbe& probe_;
  const SystemClock clock_;
  const Time deadline_;
  UniqueFd socket_;
  std::string words_;
};

}  // namespace

int ask_http(const HttpProbe& probe) {
  ::prctl(PR_SET_NAME, "dewar-probe", 0, 0, 0);
  const ProbeVerdict verdict = Conversation(probe).hold();
  (void)write_all(STDOUT_FILENO, verdict.words + "\n", "standard output");
  return verdict.passed ? 0 : 1;
}

}  // namespace dewar
