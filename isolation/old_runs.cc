#include "isolation/old_runs.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>

#include "base/files.h"

namespace dewar {
namespace {

std::vector<std::string> names_in(const std::string& folder) {
  auto names = list_dir(folder);
  return names ? std::move(names).take() : std::vector<std::string>{};
}

/// The numbers of a process's runs, ascending.
std::vector<std::uint32_t> runs_in(const std::string& folder) {
  std::vector<std::uint32_t> runs;
  for (const std::string& name : names_in(folder)) {
    std::uint32_t number = 0;
    const char* end = name.data() + name.size();
    if (std::from_chars(name.data(), end, number).ptr == end && !name.empty()) runs.push_back(number);
  }
  std::ranges::sort(runs);
  return runs;
}

OldRun look_at(const std::string& folder) {
  OldRun run{folder, 0, 0};
  for (const std::string& name : names_in(folder)) {
    struct stat info {};
    if (::lstat((folder + "/" + name).c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
    run.bytes += static_cast<std::uint64_t>(info.st_size);
    run.ended = std::max<std::int64_t>(run.ended, info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec);
  }
  return run;
}

}  // namespace

std::vector<OldRun> find_old_runs(const std::string& logs, bool newest) {
  std::vector<OldRun> found;
  for (const std::string& process : names_in(logs)) {
    std::vector<std::uint32_t> runs = runs_in(logs + "/" + process);
    if (!runs.empty() && !newest) runs.pop_back();
    for (const std::uint32_t run : runs) found.push_back(look_at(logs + "/" + process + "/" + std::to_string(run)));
  }
  std::erase_if(found, [](const OldRun& run) { return run.bytes == 0; });
  return found;
}

std::uint64_t remove_oldest_run(const std::string& logs) {
  const std::vector<OldRun> runs = find_old_runs(logs);
  const auto oldest = std::ranges::min_element(runs, {}, &OldRun::ended);
  if (oldest == runs.end() || !remove_tree(oldest->folder)) return 0;
  return oldest->bytes;
}

}  // namespace dewar
