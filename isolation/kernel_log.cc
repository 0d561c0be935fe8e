#include "isolation/kernel_log.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "base/clock.h"
#include "base/files.h"
#include "base/unique_fd.h"

namespace dewar {
namespace {

constexpr std::int64_t kLevels = 8;  // a record of the kernel's facility has a number below

std::int64_t number_at(std::string_view text) {
  std::int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

/// The next message of the kernel's own into `line`; false if there is none now. Errors: of read(2).
Result<bool> next_line(const UniqueFd& log, std::string& line) {
  char record[8192];  // CONSOLE_EXT_LOG_MAX; each read(2) gives one: "<facility and level>,<number>,<time>,…;text\n"
  for (;;) {
    const ssize_t n = retry_eintr([&] { return ::read(log.get(), record, sizeof record); });
    if (n < 0 && errno == EPIPE) continue;  // overwritten meanwhile: goes on with the oldest there is
    if (n == 0 || (n < 0 && errno == EAGAIN)) return false;
    if (n < 0) return fail_errno("read /dev/kmsg");
    const std::string_view text(record, static_cast<std::size_t>(n));
    const std::size_t start = text.find(';');
    if (start == std::string_view::npos || number_at(text) >= kLevels) continue;
    line = text.substr(start + 1, text.find('\n') - start - 1);
    return true;
  }
}

std::string_view word_behind(std::string_view line, std::string_view key) {
  const std::size_t at = line.rfind(key);
  if (at == std::string_view::npos) return {};
  const std::string_view rest = line.substr(at + key.size());
  return rest.substr(0, rest.find(' '));
}

/// The object of "… error 4 in libc.so.6[7f1c…]".
std::string object_of(std::string_view line) {
  const std::size_t at = line.find(" in ");
  if (at == std::string_view::npos) return {};
  const std::string_view rest = line.substr(at + 4);
  return std::string(rest.substr(0, rest.find('[')));
}

}  // namespace

Result<std::string> read_kernel_log() {
  const UniqueFd log = DEWAR_TRY(open_file("/dev/kmsg", O_RDONLY | O_NONBLOCK));
  std::string all, line;
  while (DEWAR_TRY(next_line(log, line))) all += line + "\n";
  return all;
}

Result<std::string> find_in_kernel_log(const std::function<bool(std::string_view)>& wanted, int patience_ms) {
  const UniqueFd log = DEWAR_TRY(open_file("/dev/kmsg", O_RDONLY | O_NONBLOCK));
  const Time until = std::chrono::steady_clock::now() + std::chrono::milliseconds(patience_ms);
  std::string found, line;
  for (;;) {
    while (DEWAR_TRY(next_line(log, line)))
      if (wanted(line)) found = line;
    if (!found.empty()) return found;
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now()).count();
    pollfd more{log.get(), POLLIN, 0};
    if (left <= 0 || retry_eintr([&] { return ::poll(&more, 1, static_cast<int>(left)); }) <= 0)
      return fail(std::errc::no_such_file_or_directory, "the kernel's log does not tell");
  }
}

/// The name in front is the process's own choice, the object behind is a file's: both may hold anything.
std::optional<FaultReport> read_fault(std::string_view line) {
  constexpr std::string_view kSegfault = "]: segfault at ";
  const std::size_t ip = std::min(line.find(" ip "), line.find(" ip:"));
  if (ip == std::string_view::npos) return {};
  const std::string_view head = line.substr(0, ip);
  const std::size_t segfault = head.rfind(kSegfault);
  const bool trap = segfault == std::string_view::npos;
  const std::size_t close = trap ? head.rfind("] ") : segfault;
  if (close == std::string_view::npos || (trap && !line.starts_with("traps: "))) return {};
  const std::size_t open = head.rfind('[', close);
  if (open == std::string_view::npos) return {};
  FaultReport report;
  report.pid = static_cast<pid_t>(number_at(line.substr(open + 1)));
  if (report.pid <= 0) return {};
  report.object = object_of(line.substr(ip));
  report.fault = trap ? head.substr(close + 2) : "segfault";
  if (!trap) report.address = "0x" + std::string(head.substr(close + kSegfault.size()));
  return report;
}

std::optional<ForbiddenCall> read_forbidden_call(std::string_view line) {
  if (line.find("type=1326 ") == std::string_view::npos || line.find(" sig=31 ") == std::string_view::npos) return {};
  ForbiddenCall call;
  const std::size_t pid = line.find(" pid=");  // before the name, which is the process's own choice
  const std::string_view number = word_behind(line, " syscall=");
  if (pid == std::string_view::npos || number.empty()) return {};
  call.pid = static_cast<pid_t>(number_at(line.substr(pid + 5)));
  call.number = static_cast<int>(number_at(number));
  return call;
}

}  // namespace dewar
