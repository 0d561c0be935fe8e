#include "isolation/launch/report.h"

#include <limits.h>
#include <unistd.h>

#include <string>

#include "base/files.h"

namespace dewar {
namespace {

constexpr std::size_t kLongestDetail = 1024;  // with the rest of the frame still one atomic write to a pipe (PIPE_BUF)

void send(int fd, const LaunchReport& report) {
  const std::string frame = encode_report(report);
  static_assert(kLongestDetail < PIPE_BUF / 2);
  (void)!::write(fd, frame.data(), frame.size());  // nobody listens: then nobody needs to know
}

}  // namespace

void Reporter::refuse(const char* step, std::string_view detail) const {
  LaunchReport report;
  report.error = errno;
  report.step = step;
  report.detail = detail.substr(0, kLongestDetail);
  send(fd_, report);
  ::_exit(1);
}

void Reporter::succeed() const { send(fd_, {}); }

std::optional<LaunchReport> read_report(int fd) {
  const auto bytes = read_all(fd, "report");
  if (!bytes) return {};
  return decode_report(*bytes);
}

}  // namespace dewar
