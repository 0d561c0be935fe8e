// limit_receive PORT PATH FILE: one HTTP/1.0 GET from 127.0.0.1 into a file, by recv(2) and write(2) with a big buffer:
// the least that a download can cost.
#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr std::size_t kBuffer = 1u << 20;

int die(const char* what) {
  std::perror(what);
  return 1;
}

bool write_all(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(file, bytes.data(), bytes.size());
    if (n < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int file = ::open(argv[3], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(std::atoi(argv[1])));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (file < 0 || ::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return die("limit_receive");
  if (!write_all(socket, "GET " + std::string(argv[2]) + " HTTP/1.0\r\n\r\n")) return die("limit_receive: ask");

  std::vector<char> buffer(kBuffer);
  std::string head;
  std::size_t body = std::string::npos;
  while (body == std::string::npos) {
    const ssize_t n = ::recv(socket, buffer.data(), 4096, 0);
    if (n <= 0) return die("limit_receive: header");
    head.append(buffer.data(), static_cast<std::size_t>(n));
    body = head.find("\r\n\r\n");
  }
  if (head.find(" 200 ") > body) {
    std::fputs("limit_receive: the server refuses\n", stderr);
    return 1;
  }
  if (!write_all(file, std::string_view(head).substr(body + 4))) return die("limit_receive: write");
  while (true) {
    const ssize_t n = ::recv(socket, buffer.data(), buffer.size(), 0);
    if (n < 0) return die("limit_receive: receive");
    if (n == 0) return 0;
    if (!write_all(file, {buffer.data(), static_cast<std::size_t>(n)})) return die("limit_receive: write");
  }
}
