#include "agent/cli/work_dir.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "base/files.h"
#include "thermos/checkpoint.h"
#include "thermos/prepare.h"

namespace dewar {
namespace {

constexpr const char* kPrefix = "dewar-";
constexpr const char* kMark = "/meta/collectable";

/// Our own folder with our mark: /var/tmp is everybody's, and another user's folder of that name is none of our
/// business.
bool may_be_collected(const std::string& folder) {
  struct stat info {};
  if (::lstat(folder.c_str(), &info) != 0 || !S_ISDIR(info.st_mode) || info.st_uid != ::geteuid()) return false;
  return exists(folder + kMark);
}

bool ended_well(const std::string& work_dir, const std::string& task_id, double before) {
  const auto run_folder = find_run_folder(work_dir, task_id);
  if (!run_folder) return false;
  const auto history = read_history(*run_folder + "/checkpoints", task_id);
  return history && history->state() == TaskState::kSuccess &&
         static_cast<double>(history->statuses.back().timestamp_ms) / 1e3 < before;
}

/// All of its tasks have ended in SUCCESS before then; a folder without any task must itself be older.
bool is_done_with(const std::string& work_dir, double before) {
  const auto tasks = list_dir(work_dir + "/slaves/local/frameworks/local/executors");
  if (!tasks || tasks->empty()) {
    struct stat info {};
    return ::stat(work_dir.c_str(), &info) == 0 && static_cast<double>(info.st_mtime) < before;
  }
  for (const std::string& task_id : *tasks) {
    if (!ended_well(work_dir, task_id, before)) return false;
  }
  return true;
}

}  // namespace

Result<std::string> make_work_dir(const std::string& parent, bool keep) {
  std::string folder = parent + "/" + kPrefix + "XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) return fail_errno("make a folder below " + parent);
  if (!keep) {
    DEWAR_TRY(make_dirs(folder + "/meta"));
    DEWAR_TRY(replace_file(folder + kMark, ""));
  }
  return folder;
}

Result<void> keep_work_dir(const std::string& work_dir) { return remove_tree(work_dir + kMark); }

std::vector<std::string> collect_work_dirs(const std::string& parent, double now) {
  std::vector<std::string> removed;
  const auto names = list_dir(parent);
  if (!names) return removed;
  for (const std::string& name : *names) {
    const std::string folder = parent + "/" + name;
    if (!name.starts_with(kPrefix) || !may_be_collected(folder)) continue;
    if (is_done_with(folder, now - kCollectAfterSeconds) && remove_tree(folder)) removed.push_back(folder);
  }
  return removed;
}

}  // namespace dewar
