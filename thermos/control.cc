#include "thermos/control.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "base/files.h"

namespace dewar {
namespace {

constexpr const char* kName = "control";
constexpr const char* kNewName = "control.new";

/// sun_path holds 107 bytes and a run folder's path is longer, so the address goes through a descriptor of the folder.
sockaddr_un address_in(const UniqueFd& folder, const char* name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = "/proc/self/fd/" + std::to_string(folder.get()) + "/" + name;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

Result<UniqueFd> make_socket() {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno("make control socket");
  return fd;
}

}  // namespace

Result<UniqueFd> listen_at(const std::string& folder) {
  const UniqueFd dir = DEWAR_TRY(open_file(folder, O_PATH | O_DIRECTORY));
  UniqueFd fd = DEWAR_TRY(make_socket());
  // It gets its name once it listens, so whoever sees the name can connect. An earlier runner's, which the checkpoint's
  // lock says is dead, is replaced.
  ::unlinkat(dir.get(), kNewName, 0);
  const sockaddr_un address = address_in(dir, kNewName);
  const mode_t old = ::umask(0177);
  const int bound = ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  ::umask(old);
  if (bound != 0 || ::listen(fd.get(), 16) != 0 || ::renameat(dir.get(), kNewName, dir.get(), kName) != 0)
    return fail_errno("listen at " + folder + "/" + kName);
  return fd;
}

Result<RunnerClient> RunnerClient::connect(const std::string& run_folder) {
  const UniqueFd dir = DEWAR_TRY(open_file(run_folder, O_PATH | O_DIRECTORY));
  RunnerClient client;
  client.fd_ = DEWAR_TRY(make_socket());
  const sockaddr_un address = address_in(dir, kName);
  if (::connect(client.fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return fail_errno("connect to " + run_folder + "/" + kName);
  return client;
}

Result<void> RunnerClient::request(const std::string& line) {
  const ssize_t n = retry_eintr([&] { return ::send(fd_.get(), line.data(), line.size(), MSG_NOSIGNAL); });
  if (n != static_cast<ssize_t>(line.size())) return fail_errno("ask the runner to " + line.substr(0, line.size() - 1));
  return {};
}

Result<void> RunnerClient::subscribe() { return request("subscribe\n"); }

Result<void> RunnerClient::kill(std::optional<Duration> wait) {
  if (!wait) return request("kill\n");
  return request("kill " + std::to_string(std::chrono::duration<double>(*wait).count()) + "\n");
}

Result<void> RunnerClient::lose() { return request("lose\n"); }

Result<void> RunnerClient::change_limits(const std::string& words) {
  DEWAR_TRY(request("limits " + words + "\n"));
  std::string answer;
  while (!answer.ends_with('\n')) {
    char block[4096];
    const ssize_t n = retry_eintr([&] { return ::recv(fd_.get(), block, sizeof block, 0); });
    if (n < 0) return fail_errno("read from the runner");
    if (n == 0) return fail("the runner ended before it answered");
    answer.append(block, static_cast<std::size_t>(n));
  }
  answer.pop_back();
  constexpr std::string_view kError = "error ";
  if (answer.starts_with(kError)) return fail(answer.substr(kError.size()));
  return {};
}

Result<bool> RunnerClient::receive(std::vector<Record>& records) {
  char block[65536];
  const ssize_t n = retry_eintr([&] { return ::recv(fd_.get(), block, sizeof block, 0); });
  if (n < 0 && errno != ECONNRESET) return fail_errno("read from the runner");
  if (n <= 0) return false;
  pending_.append(block, static_cast<std::size_t>(n));
  std::size_t at = 0;
  while (pending_.size() - at >= 4) {
    std::uint32_t length = 0;
    std::memcpy(&length, pending_.data() + at, 4);
    length = ntohl(length);
    if (pending_.size() - at - 4 < length) break;
    records.push_back(DEWAR_TRY(decode_record(std::string_view(pending_).substr(at + 4, length))));
    at += 4 + length;
  }
  pending_.erase(0, at);
  return true;
}

}  // namespace dewar
