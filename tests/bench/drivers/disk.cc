// What counting a big tree costs: drive_disk FOLDER [FOLDERS [FILES_EACH]] fills the folder first if it is not there,
// and leaves it. Prints {"entries": N, "blind": folders without a watch, "walk": ms, …}, milliseconds of CPU: of a full
// walk (fts, as du does it), of the first count, of a look when nothing has changed, when one file has grown, and of a
// lap.
#include <fcntl.h>
#include <fts.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>

#include "base/files.h"
#include "isolation/disk/disk_counter.h"

namespace dewar {
namespace {

const SystemClock kClock;

bool fill(const std::string& root, int folders, int files) {
  for (int i = 0; i < folders; ++i) {
    const std::string path = root + "/" + std::to_string(i / 100) + "/" + std::to_string(i);
    if (!make_dirs(path)) return false;
    const auto folder = open_file(path, O_RDONLY | O_DIRECTORY);
    for (int n = 0; folder && n < files; ++n)
      if (!open_at(*folder, "file" + std::to_string(n), O_WRONLY | O_CREAT)) return false;
  }
  return true;
}

double cpu_ms() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto ms = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_usec) / 1e3;
  };
  return ms(used.ru_utime) + ms(used.ru_stime);
}

void tell(const char* what, const std::function<void()>& act, int times = 1) {
  const double before = cpu_ms();
  for (int n = 0; n < times; ++n) act();
  std::printf(", \"%s\": %.6f", what, (cpu_ms() - before) / times);
}

/// What du(1) does: one lstat(2) for each entry.
void walk(const std::string& root) {
  char* const paths[] = {const_cast<char*>(root.c_str()), nullptr};
  FTS* tree = ::fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, nullptr);
  std::uint64_t blocks = 0;
  while (const FTSENT* entry = ::fts_read(tree))
    if (entry->fts_info != FTS_DP) blocks += static_cast<std::uint64_t>(entry->fts_statp->st_blocks);
  ::fts_close(tree);
}

int run(const std::string& root, int folders, int files) {
  if (!exists(root) && !fill(root, folders, files)) return 1;
  auto opened = DiskCounter::open({{root}});
  if (!opened) return 1;
  DiskCounter counter = std::move(opened).take();
  const auto finish = [&] { counter.work(kClock, kClock.now() + std::chrono::hours(1)); };
  finish();
  const auto entries = static_cast<unsigned long long>(counter.usage().inodes);
  std::printf("{\"entries\": %llu, \"blind\": %zu", entries, counter.blind());
  tell("walk", [&] { walk(root); });
  tell("first", [&] {
    auto another = DiskCounter::open({{root}});
    if (another) another->work(kClock, kClock.now() + std::chrono::hours(1));
  });
  tell(
      "unchanged", [&] { counter.read_changes(), finish(); }, 1000);
  const std::string grows = root + "/0/0/file0";
  tell(
      "one_file",
      [&] {
        const auto fd = open_file(grows, O_WRONLY | O_APPEND);
        if (fd) (void)write_all(fd->get(), "x", grows);
        counter.read_changes(), finish();
      },
      100);
  tell("lap", [&] { counter.begin_lap(), finish(); });
  std::printf("}\n");
  return 0;
}

}  // namespace
}  // namespace dewar

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  return dewar::run(argv[1], argc > 2 ? std::atoi(argv[2]) : 10'000, argc > 3 ? std::atoi(argv[3]) : 100);
}
