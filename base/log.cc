#include "base/log.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/files.h"
#include "base/units.h"

namespace dewar {

Log::Log(const std::string& path) {
  auto fd = open_file(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW);
  if (fd) fd_ = std::move(fd).take();
}

void Log::line(std::string_view text) const {
  if (!fd_) return;
  std::string out = format_rfc3339(SystemClock().wall()) + " ";
  for (const char c : text) {
    if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) {
      out += c;
      continue;
    }
    constexpr char kHex[] = "0123456789abcdef";
    const auto byte = static_cast<unsigned char>(c);
    out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
  }
  out += '\n';
  (void)write_all(fd_.get(), out, "log");
}

}  // namespace dewar
