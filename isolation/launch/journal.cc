#include "isolation/launch/journal.h"

#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include <cstring>

#include "base/files.h"

namespace dewar {
namespace {

constexpr std::size_t kLongestLine = 48u << 10;  // as journald's own; a longer line becomes several entries
constexpr char kOutPriority[] = "PRIORITY=6\nMESSAGE\n", kErrPriority[] = "PRIORITY=3\nMESSAGE\n";  // info, err

}  // namespace

Journal::Journal(const LogRecipe& recipe)
    : socket_(recipe.journal),
      fields_(recipe.journal_fields),
      fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {}

void Journal::take(OutputStream stream, std::string_view bytes) {
  std::string& begun = begun_[stream == OutputStream::kStdout ? 0 : 1];
  while (!bytes.empty()) {
    const std::size_t room = kLongestLine - begun.size();
    const std::size_t newline = bytes.substr(0, room).find('\n');
    const bool ends = newline != std::string_view::npos;
    const std::string_view piece = bytes.substr(0, ends ? newline : room);
    bytes.remove_prefix(piece.size() + (ends ? 1 : 0));
    if (ends && begun.empty()) {
      send(stream, piece);
      continue;
    }
    begun += piece;
    if (ends || begun.size() == kLongestLine) end(stream);
  }
}

void Journal::end(OutputStream stream) {
  std::string& begun = begun_[stream == OutputStream::kStdout ? 0 : 1];
  if (!begun.empty()) send(stream, begun);
  begun.clear();
}

/// The message goes in the form that allows any bytes: its length as 64 bits, little-endian, then itself.
void Journal::send(OutputStream stream, std::string_view line) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_.size() >= sizeof address.sun_path) return;
  std::memcpy(address.sun_path, socket_.data(), socket_.size());
  std::uint64_t size = line.size();
  const char* priority = stream == OutputStream::kStdout ? kOutPriority : kErrPriority;
  char newline = '\n';
  iovec parts[] = {{fields_.data(), fields_.size()},
                   {const_cast<char*>(priority), std::strlen(priority)},
                   {&size, sizeof size},
                   {const_cast<char*>(line.data()), line.size()},
                   {&newline, 1}};
  msghdr message{};
  message.msg_name = &address;
  message.msg_namelen = sizeof address;
  message.msg_iov = parts;
  message.msg_iovlen = std::size(parts);
  if (retry_eintr([&] { return ::sendmsg(fd_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL); }) < 0)
    lost_ += line.size();
}

}  // namespace dewar
