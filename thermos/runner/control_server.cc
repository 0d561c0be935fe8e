#include "thermos/runner/control_server.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdlib>

#include "base/files.h"
#include "thermos/explain/death.h"

namespace dewar {
namespace {

/// Who had connected: unix(7), SO_PEERCRED. The name is that of whoever has the pid now.
std::string peer_of(const UniqueFd& socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.pid <= 0) return "somebody";
  const auto name = read_file("/proc/" + std::to_string(peer.pid) + "/comm", 64);
  const std::string shown = name ? one_line(name->substr(0, name->find('\n')), 32) : "a process that is gone";
  return shown + " (pid " + std::to_string(peer.pid) + ", uid " + std::to_string(peer.uid) + ")";
}

}  // namespace

ControlServer::~ControlServer() { close(0); }

Result<void> ControlServer::listen(const std::string& run_folder) {
  listener_ = DEWAR_TRY(listen_at(run_folder));
  return loop_.watch(listener_.get(), [this] { accept(); });
}

bool ControlServer::has_subscribers() const {
  return std::ranges::any_of(clients_, [](const auto& entry) { return entry.second.subscribed; });
}

void ControlServer::accept() {
  UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (fd) (void)serve(std::move(fd));
}

Result<void> ControlServer::serve(UniqueFd client) {
  const int number = client.get();
  if (::fcntl(number, F_SETFL, O_NONBLOCK) != 0 || ::fcntl(number, F_SETFD, FD_CLOEXEC) != 0)
    return fail_errno("serve a client");
  DEWAR_TRY(loop_.watch(number, [this, number] { read_from(number); }));
  clients_[number].fd = std::move(client);
  return {};
}

void ControlServer::read_from(int fd) {
  char block[512];
  const ssize_t n = retry_eintr([&] { return ::recv(fd, block, sizeof block, 0); });
  if (n < 0 && errno == EAGAIN) return;
  if (n <= 0) return drop(fd);
  clients_.at(fd).request.append(block, static_cast<std::size_t>(n));
  for (;;) {
    // Obeying may publish, and publishing drops a client that has gone: look for it anew each time.
    const auto found = clients_.find(fd);
    if (found == clients_.end()) return;
    Client& client = found->second;
    const std::size_t end = client.request.find('\n');
    if (end == std::string::npos) {
      if (client.request.size() > sizeof block || !send_to(client)) drop(fd);
      return;
    }
    const std::string line = client.request.substr(0, end);
    client.request.erase(0, end + 1);
    if (!obey(client, line)) return drop(fd);
  }
}

bool ControlServer::obey(Client& client, const std::string& line) {
  if (line == "subscribe") {
    const bool first = !has_subscribers();
    if (!client.subscribed) client.backlog += verbs_.history();
    client.subscribed = true;
    if (first) verbs_.first_subscriber();
  } else if (line == "kill") {
    verbs_.kill(std::nullopt, peer_of(client.fd));
  } else if (line.starts_with("kill ")) {
    char* end = nullptr;
    const double seconds = std::strtod(line.c_str() + 5, &end);
    if (*end != '\0' || !(seconds >= 0 && seconds < 1e8)) return false;
    verbs_.kill(Duration(static_cast<std::int64_t>(seconds * 1e9)), peer_of(client.fd));
  } else if (line.starts_with("limits ") && !client.subscribed) {
    client.backlog += verbs_.limits(line.substr(7));
  } else if (line == "lose") {
    verbs_.lose(peer_of(client.fd));
  } else {
    return false;
  }
  return true;
}

void ControlServer::publish(const std::string& bytes) {
  std::vector<int> gone;
  for (auto& [fd, client] : clients_) {
    if (!client.subscribed) continue;
    client.backlog += bytes;
    if (!send_to(client)) gone.push_back(fd);
  }
  for (const int fd : gone) drop(fd);
}

bool ControlServer::send_to(Client& client) {
  const int fd = client.fd.get();
  while (!client.backlog.empty()) {
    const ssize_t n =
        retry_eintr([&] { return ::send(fd, client.backlog.data(), client.backlog.size(), MSG_NOSIGNAL); });
    if (n < 0 && errno != EAGAIN) return false;
    if (n < 0) {
      // The socket is full: go on when it has room. (A client that waits for room is not read from meanwhile.)
      return client.backlog.size() <= kBacklog && static_cast<bool>(loop_.watch(
                                                      fd,
                                                      [this, fd] {
                                                        if (!send_to(clients_.at(fd))) drop(fd);
                                                      },
                                                      EventLoop::Until::kWritable));
    }
    client.backlog.erase(0, static_cast<std::size_t>(n));
  }
  return static_cast<bool>(loop_.watch(fd, [this, fd] { read_from(fd); }));
}

void ControlServer::drop(int fd) {
  loop_.unwatch(fd);
  clients_.erase(fd);
}

void ControlServer::close(int timeout_ms) {
  for (auto& [fd, client] : clients_) {
    pollfd room{fd, POLLOUT, 0};
    while (!client.backlog.empty() && retry_eintr([&] { return ::poll(&room, 1, timeout_ms); }) > 0)
      if (!send_to(client)) break;
    loop_.unwatch(fd);
  }
  clients_.clear();
  if (listener_) loop_.unwatch(listener_.get());
  listener_.reset();
}

}  // namespace dewar
