#include "thermos/checkpoint.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <ctime>
#include <utility>

#include "base/files.h"
#include "base/process.h"

namespace dewar {
namespace {

constexpr std::size_t kMaxStream = 1u << 30;
constexpr int kKillTimeoutMs = 10'000;
constexpr int kLockTries = 1000;  // a millisecond each
constexpr const char* kRunner = "runner";
constexpr std::string_view kCoordinator = "coordinator.";

bool is_missing(const Error& error) { return error.code == std::errc::no_such_file_or_directory; }

/// One write(2); what it could not write whole it takes back.
Result<void> append_bytes(const UniqueFd& file, const std::string& bytes, const std::string& what) {
  const off_t before = ::lseek(file.get(), 0, SEEK_END);
  if (before < 0) return fail_errno("find the end of " + what);
  const ssize_t written = retry_eintr([&] { return ::write(file.get(), bytes.data(), bytes.size()); });
  if (written == static_cast<ssize_t>(bytes.size())) return {};
  const Failure failure =
      written < 0 ? fail_errno("append to " + what) : fail(std::errc::no_space_on_device, "append to " + what);
  if (written > 0 && ::ftruncate(file.get(), before) != 0) return fail_errno("take back half a record from " + what);
  return failure;
}

/// Whether the process has `file` open: then it is the runner that its record says, and not a later one of that pid.
bool has_open(pid_t pid, const UniqueFd& file) {
  struct stat wanted {};
  if (::fstat(file.get(), &wanted) != 0) return false;
  const std::string folder = "/proc/" + std::to_string(pid) + "/fd";
  const auto fds = list_dir(folder);
  if (!fds) return false;
  for (const std::string& fd : *fds) {
    struct stat found {};
    if (::stat((folder + "/" + fd).c_str(), &found) != 0) continue;
    if (found.st_dev == wanted.st_dev && found.st_ino == wanted.st_ino) return true;
  }
  return false;
}

Result<void> kill_holder(pid_t pid, const UniqueFd& file) {
  const ProcessId who = DEWAR_TRY(identify(pid));
  const UniqueFd process = DEWAR_TRY(open_process(who));
  if (!has_open(pid, file)) return fail(std::errc::operation_would_block, "another process holds it");
  DEWAR_TRY(send_signal(process, SIGKILL));
  pollfd end{process.get(), POLLIN, 0};
  if (retry_eintr([&] { return ::poll(&end, 1, kKillTimeoutMs); }) == 1) return {};
  return fail(std::errc::timed_out, "wait for its end");
}

pid_t runner_of(const std::vector<Record>& records) {
  pid_t pid = -1;
  for (const Record& record : records)
    if (const auto* task = std::get_if<TaskRecord>(&record)) pid = task->runner_pid;
  return pid;
}

Result<bool> same_task(const std::string& path, const std::string& task_json, const std::string& task_id) {
  const auto found = read_file(path);
  if (!found && is_missing(found.error())) return false;
  if (!found) return Failure{found.error()};
  if (*found == task_json) return true;
  return fail(std::errc::file_exists, "another task has the id '" + task_id + "': see " + path);
}

/// Applies records until one does not fit; returns how many did, and why the next did not.
std::pair<std::size_t, std::string> apply_all(TaskHistory& history, const std::vector<Record>& records) {
  for (std::size_t i = 0; i < records.size(); ++i)
    if (const auto applied = history.apply(records[i]); !applied) return {i, applied.error().context};
  return {records.size(), ""};
}

/// The records that add up to `history`; from the first that does not fit on, the stream is damaged.
Replay replay_into(TaskHistory& history, std::string_view content) {
  Replay stream = replay(content);
  const auto [applied, why] = apply_all(history, stream.records);
  if (applied < stream.records.size()) {
    stream.good_bytes = stream.offsets[applied];
    stream.damage = why;
    stream.records.resize(applied);
    stream.offsets.resize(applied);
  }
  return stream;
}

Result<std::string> read_stream(const std::string& root, const std::string& task_id) {
  return read_file(root + "/checkpoints/" + task_id + "/" + kRunner, kMaxStream);
}

}  // namespace

Checkpoint::Checkpoint(std::string root, const std::string& task_id)
    : root_(std::move(root)), task_id_(task_id), folder_(root_ + "/checkpoints/" + task_id) {}

Result<Checkpoint> Checkpoint::open(const std::string& root, const std::string& task_id, const std::string& task_json,
                                    bool force) {
  Checkpoint self(root, task_id);
  for (const std::string& folder : {root + "/tasks/active", root + "/tasks/finished", self.folder_})
    DEWAR_TRY(make_dirs(folder));
  const bool active = DEWAR_TRY(same_task(self.task_file("active"), task_json, task_id));
  const bool finished = DEWAR_TRY(same_task(self.task_file("finished"), task_json, task_id));
  DEWAR_TRY(self.lock(force));
  if (!active && !finished) DEWAR_TRY(replace_file(self.task_file("active"), task_json, 0600));  // it may hold secrets
  DEWAR_TRY(self.restore_runner());
  DEWAR_TRY(self.restore_coordinators());
  DEWAR_TRY(self.end_if_finished());
  return self;
}

Result<void> Checkpoint::lock(bool force) {
  runner_ = DEWAR_TRY(open_file(runner_path(), O_RDWR | O_CREAT | O_APPEND));
  const auto take = [this] { return retry_eintr([this] { return ::flock(runner_.get(), LOCK_EX | LOCK_NB); }) == 0; };
  if (take()) return {};
  if (errno != EWOULDBLOCK) return fail_errno("lock " + runner_path());
  const pid_t holder = runner_of(replay(DEWAR_TRY(read_file(runner_path(), kMaxStream))).records);
  const std::string who = "task '" + task_id_ + "' has a runner already (pid " + std::to_string(holder) + ")";
  if (has_open(holder, runner_)) {
    if (!force) return fail(std::errc::operation_would_block, who);
    DEWAR_TRY(kill_holder(holder, runner_).context(who + "; kill it"));
    repairs_.push_back("killed the runner before (pid " + std::to_string(holder) + ")");
  }
  // A launcher that the killed runner was just starting shares its lock until execve(2), and no event tells of that.
  for (int tries = 0; tries < kLockTries; ++tries) {
    if (take()) return {};
    ::poll(nullptr, 0, 1);
  }
  return fail(std::errc::operation_would_block, who);
}

/// Takes everything from byte `good` on out of a stream: set aside if there is a reason to, cut off if it is torn.
Result<void> Checkpoint::cut_damage(const std::string& file, std::string_view content, std::size_t good,
                                    const std::string& why) {
  if (good == content.size()) return {};
  const std::string path = folder_ + "/" + file;
  if (why.empty()) {
    repairs_.push_back(file + ": cut off the " + std::to_string(content.size() - good) +
                       " bytes of a record that was not written to its end");
  } else {
    std::string aside;
    for (int n = 1; aside.empty() || exists(aside); ++n) {
      const std::string mark = "damaged-" + std::to_string(n);
      // Behind a coordinator file's name it would be part of a process's name.
      aside = folder_ + "/" + (file == kRunner ? file + "." + mark : mark + "." + file);
    }
    const std::string reason = "the record at byte " + std::to_string(good) + " is damaged: " + why;
    DEWAR_TRY(replace_file(aside + ".reason", reason + "\n"));
    DEWAR_TRY(replace_file(aside, content));
    repairs_.push_back(file + ": " + reason + "; what was before it counts, and the whole file is kept as " + aside);
  }
  if (::truncate(path.c_str(), static_cast<off_t>(good)) != 0) return fail_errno("truncate " + path);
  return {};
}

Result<void> Checkpoint::restore_runner() {
  const std::string content = DEWAR_TRY(read_file(runner_path(), kMaxStream));
  const Replay stream = replay_into(history_, content);
  return cut_damage(kRunner, content, stream.good_bytes, stream.damage);
}

Result<void> Checkpoint::restore_coordinators() {
  for (const std::string& file : DEWAR_TRY(list_dir(folder_))) {
    if (!file.starts_with(kCoordinator)) continue;
    const std::string content = DEWAR_TRY(read_file(folder_ + "/" + file, kMaxStream));
    const Replay stream = replay(content);
    DEWAR_TRY(cut_damage(file, content, stream.good_bytes, stream.damage));
    DEWAR_TRY(add_from_coordinator(file.substr(kCoordinator.size()), stream.records));
  }
  return {};
}

/// WAITING is in no coordinator file: a run that only such a file knows gets one made for it.
Result<void> Checkpoint::add_from_coordinator(const std::string& process, const std::vector<Record>& records) {
  int added = 0;
  for (const Record& record : records) {
    const auto* told = std::get_if<ProcessRecord>(&record);
    if (!told || told->process != process) continue;
    told_[process] = told->seq;
    const auto known = history_.processes.find(process);
    const bool fresh = known == history_.processes.end() || is_terminal(known->second.back().state);
    const std::int64_t next = known == history_.processes.end() ? 0 : known->second.back().seq + 1;
    if (fresh && told->seq == next + 1) {
      ProcessRecord waiting;
      waiting.seq = next;
      waiting.process = process;
      DEWAR_TRY(add(waiting));
    } else if (told->seq != next) {
      continue;
    }
    DEWAR_TRY(add(*told));
    ++added;
  }
  if (added > 0) {
    repairs_.push_back("process '" + process + "': " + std::to_string(added) +
                       " records were only in its coordinator file");
  }
  return {};
}

/// Adds a record that was missing; one that does not fit is left out.
Result<void> Checkpoint::add(const Record& record) {
  if (!history_.apply(record)) return {};
  return append_bytes(runner_, framed(encode_record(record)), runner_path());
}

Result<void> Checkpoint::end_if_finished() {
  if (history_.terminal() || !exists(task_file("finished"))) return {};
  for (const auto& [process, runs] : TaskHistory(history_).processes) {
    if (is_terminal(runs.back().state)) continue;
    ProcessRecord end;
    end.seq = runs.back().seq + 1;
    end.process = process;
    end.state = runs.back().state == ProcessState::kWaiting ? ProcessState::kFailed : ProcessState::kLost;
    end.reason = "the record of its end was damaged";
    DEWAR_TRY(add(end));
  }
  TaskRecord end;
  end.state =
      history_.statuses.empty() ? TaskState::kLost : history_.statuses.back().outcome.value_or(TaskState::kLost);
  end.timestamp_ms = static_cast<std::int64_t>(std::time(nullptr)) * 1000;
  end.runner_pid = ::getpid();
  end.runner_uid = static_cast<std::int32_t>(::getuid());
  end.reason = "the task had ended, but the record of its end was damaged";
  DEWAR_TRY(add(end));
  repairs_.push_back(*end.reason);
  return {};
}

Result<void> Checkpoint::append(const Record& record) {
  if (std::holds_alternative<SampleRecord>(record) || std::holds_alternative<EventRecord>(record)) return {};
  const std::string bytes = framed(encode_record(record));
  const auto* process = std::get_if<ProcessRecord>(&record);
  if (process && process->state != ProcessState::kWaiting) {
    const auto told = told_.try_emplace(process->process, -1).first;
    if (told->second < process->seq) {
      const std::string path = folder_ + "/" + std::string(kCoordinator) + process->process;
      const UniqueFd file = DEWAR_TRY(open_file(path, O_WRONLY | O_CREAT | O_APPEND));
      DEWAR_TRY(append_bytes(file, bytes, path));
      told->second = process->seq;
    }
  }
  return append_bytes(runner_, bytes, runner_path());
}

Result<void> Checkpoint::finish() {
  const std::string active = task_file("active"), finished = task_file("finished");
  if (::rename(active.c_str(), finished.c_str()) != 0 && (errno != ENOENT || !exists(finished))) {
    return fail_errno("move " + active + " to " + finished);
  }
  return {};
}

Result<TaskHistory> read_history(const std::string& root, const std::string& task_id) {
  TaskHistory history;
  replay_into(history, DEWAR_TRY(read_stream(root, task_id)));
  return history;
}

Result<std::vector<Record>> read_checkpoint_records(const std::string& root, const std::string& task_id) {
  TaskHistory history;
  return replay_into(history, DEWAR_TRY(read_stream(root, task_id))).records;
}

}  // namespace dewar
