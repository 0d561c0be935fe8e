// dewar-compress FOLDER [COUNTER [COUNTER]]: compresses the rotated files of a run's log folder and counts what that
// saves. Runs only when nobody else wants the CPU or the disk.
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/files.h"
#include "isolation/compress/rotated.h"

namespace dewar {
namespace {

constexpr int kIoPriorityProcess = 1, kIoPriorityIdle = 3 << 13;  // ioprio_set(2)

LogQuota open_counter(const char* path) {
  auto quota = LogQuota::open(path, ~0ull);
  return quota ? std::move(quota).take() : LogQuota();
}

int compress(int argc, char** argv) {
  if (argc < 2 || argc > 4) return 2;
  ::setpriority(PRIO_PROCESS, 0, 19);
  const sched_param idle{};
  ::sched_setscheduler(0, SCHED_IDLE, &idle);
  ::syscall(SYS_ioprio_set, kIoPriorityProcess, 0, kIoPriorityIdle);
  LogQuota task = argc > 2 ? open_counter(argv[2]) : LogQuota();
  LogQuota host = argc > 3 ? open_counter(argv[3]) : LogQuota();
  const auto done = compress_rotated(argv[1], task, host);
  if (done) return 0;
  (void)write_all(STDERR_FILENO, "dewar-compress: " + done.error().message() + "\n", "standard error");
  return 1;
}

}  // namespace
}  // namespace dewar

int main(int argc, char** argv) { return dewar::compress(argc, argv); }
