// The quickest way found to move a pipe into a file that is rotated: a pipe of 1 MiB, read(2) and write(2) with a
// buffer of that size, files cut at line ends, and a pause after a short read, so that a writer of short lines is not
// met line by line: 1000 us is best for them, 0 for a writer that has a buffer of its own.
//
//   limit_pump FILE ROTATE_BYTES KEEP PAUSE_US      (stdin: the pipe)
//
// Prints its own CPU seconds to stderr as {"cpu_seconds": …} at the end of input.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

constexpr int kPipeBytes = 1 << 20;

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

class RotatedFile {
 public:
  RotatedFile(std::string path, long rotate_bytes, int keep)
      : path_(std::move(path)), limit_(rotate_bytes), keep_(keep) {
    open_new();
  }

  void take(const char* bytes, long count) {
    if (size_ + count > limit_) {
      const auto* end = static_cast<const char*>(std::memchr(bytes, '\n', static_cast<std::size_t>(count)));
      const long head = end == nullptr ? count : end + 1 - bytes;
      put(bytes, head);
      bytes += head;
      count -= head;
      rotate();
    }
    put(bytes, count);
  }

 private:
  void put(const char* bytes, long count) {
    if (count > 0 && write(fd_, bytes, static_cast<std::size_t>(count)) != count) die("write");
    size_ += count;
  }
  void open_new() {
    fd_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd_ < 0) die(path_.c_str());
    size_ = 0;
  }
  void rotate() {
    const auto old = [this](int number) { return path_ + "." + std::to_string(number); };
    for (int i = keep_ - 1; i >= 1; --i) std::rename(old(i).c_str(), old(i + 1).c_str());
    std::rename(path_.c_str(), old(1).c_str());
    close(fd_);
    open_new();
  }

  std::string path_;
  long limit_, size_ = 0;
  int keep_, fd_ = -1;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  const auto pause_us = static_cast<useconds_t>(std::atoi(argv[4]));
  RotatedFile file(argv[1], std::atol(argv[2]), std::atoi(argv[3]));
  fcntl(0, F_SETPIPE_SZ, kPipeBytes);
  std::vector<char> buffer(kPipeBytes);
  for (;;) {
    const ssize_t count = read(0, buffer.data(), buffer.size());
    if (count < 0) die("read");
    if (count == 0) break;
    file.take(buffer.data(), count);
    if (count < kPipeBytes / 16 && pause_us > 0) usleep(pause_us);
  }
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  std::fprintf(stderr, "{\"cpu_seconds\": %.4f}\n", seconds(used.ru_utime) + seconds(used.ru_stime));
}
