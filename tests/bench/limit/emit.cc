// bench_emit LINES BYTES_PER_LINE LINES_PER_WRITE: writes lines to stdout as fast as it takes them.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const long lines = std::atol(argv[1]), size = std::atol(argv[2]), per_write = std::atol(argv[3]);
  const std::string line = std::string(static_cast<std::size_t>(size - 1), 'x') + '\n';
  std::string block;
  for (long i = 0; i < per_write; ++i) block += line;
  for (long left = lines; left > 0; left -= per_write) {
    const char* from = block.data();
    for (auto bytes = static_cast<std::size_t>(std::min(left, per_write) * size); bytes > 0;) {
      const ssize_t written = write(1, from, bytes);
      if (written < 0) return 1;
      from += written;
      bytes -= static_cast<std::size_t>(written);
    }
  }
}
