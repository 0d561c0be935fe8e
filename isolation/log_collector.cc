#include "isolation/log_collector.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <numeric>

#include "base/files.h"
#include "base/units.h"
#include "isolation/log_quota.h"
#include "isolation/old_runs.h"

namespace dewar {
namespace {

/// All folders that match a path in which "*" stands for any name. Symbolic links (`latest`) are not followed.
std::vector<std::string> expand(const std::string& start, const std::vector<std::string>& parts) {
  std::vector<std::string> folders{start};
  for (const std::string& part : parts) {
    std::vector<std::string> next;
    for (const std::string& folder : folders) {
      const auto names = part == "*" ? list_dir(folder) : Result<std::vector<std::string>>({part});
      if (!names) continue;
      for (const std::string& name : *names) {
        struct stat info {};
        const std::string path = folder + "/" + name;
        if (::lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) next.push_back(path);
      }
    }
    folders = std::move(next);
  }
  return folders;
}

bool has_ended(const std::string& run) {
  const auto finished = list_dir(run + "/checkpoints/tasks/finished");
  return finished && !finished->empty();
}

std::uint64_t sum(const std::vector<OldRun>& runs) {
  return std::accumulate(runs.begin(), runs.end(), std::uint64_t{0},
                         [](std::uint64_t bytes, const OldRun& run) { return bytes + run.bytes; });
}

}  // namespace

Result<std::vector<std::string>> collect_logs(const std::string& work_dir, std::uint64_t quota) {
  std::vector<std::string> gone;
  const std::string counter = work_dir + "/log.used";
  const UniqueFd lock = DEWAR_TRY(open_file(counter, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0600));
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return gone;
    return fail_errno("lock " + counter);
  }
  if (DEWAR_TRY(read_log_use(counter)).used <= quota / 10 * 9) return gone;
  std::uint64_t total = 0;
  std::vector<OldRun> old;
  for (const std::string& run : expand(work_dir, {"slaves", "*", "frameworks", "*", "executors", "*", "runs", "*"})) {
    total += sum(find_old_runs(run + "/.logs", true));
    const auto ended = find_old_runs(run + "/.logs", has_ended(run));
    old.insert(old.end(), ended.begin(), ended.end());
  }
  std::ranges::sort(old, {}, &OldRun::ended);
  for (const OldRun& run : old) {
    if (total <= quota / 5 * 4) break;
    if (!remove_tree(run.folder)) continue;
    total -= std::min(total, run.bytes);
    gone.push_back(run.folder);
  }
  LogQuota used = DEWAR_TRY(LogQuota::open(counter, quota));
  const std::uint64_t told = DEWAR_TRY(read_log_use(counter)).used;
  if (told > total) used.give_back(told - total);
  if (told < total) used.charge(total - told);
  return gone;
}

std::string collected_words(std::size_t runs, std::uint64_t quota) {
  return "the logs of " + std::to_string(runs) + (runs == 1 ? " ended run" : " ended runs") +
         " were removed: the quota of " + format_bytes(quota) + " for the logs of the work dir";
}

}  // namespace dewar
