#include "isolation/launch/run_log.h"

#include <fcntl.h>
#include <time.h>

#include "base/files.h"
#include "base/units.h"
#include "isolation/log_collector.h"

namespace dewar {

Result<std::unique_ptr<RunLog>> RunLog::open(const LogRecipe& recipe, LogFile::Begin begin, std::string& subject) {
  auto log = std::unique_ptr<RunLog>(new RunLog(recipe));
  subject = recipe.folder;
  log->folder_ = DEWAR_TRY(open_file(recipe.folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  if (recipe.quota > 0) {
    subject = recipe.counter;
    log->quota_ = DEWAR_TRY(LogQuota::open(recipe.counter, recipe.quota));
  }
  if (recipe.host_quota > 0) {
    subject = recipe.host_counter;
    log->quota_.within(DEWAR_TRY(LogQuota::open(recipe.host_counter, recipe.host_quota)));
  }
  subject = recipe.folder + "/index";
  log->index_ = DEWAR_TRY(IndexFile::open(log->folder_, log->quota_));
  for (const OutputStream stream : {OutputStream::kStdout, OutputStream::kStderr}) {
    subject = recipe.folder + "/" + std::string(file_name(stream));
    auto file = LogFile::open(log->folder_, stream, recipe.policy, log->quota_, *log->index_, begin);
    if (!file) return Failure{file.error()};
    if (log->quota_.limits())
      file->share(parent_of(parent_of(recipe.folder)), parent_of(recipe.host_counter), recipe.host_quota);
    (stream == OutputStream::kStdout ? log->out_ : log->err_) = std::move(file).take();
  }
  return log;
}

void RunLog::look_after() {
  out_->check();
  err_->check();
  index_->flush_gaps();
  index_->check();
}

std::size_t RunLog::reasons() const {
  std::size_t count = 0;
  if (journal_ && journal_->lost() > 0) ++count;
  for (const auto* file : {&*out_, &*err_}) count += (file->error() != 0 ? 1u : 0u) + (file->was_replaced() ? 1u : 0u);
  return count + (out_->collected() + err_->collected() > 0 ? 1u : 0u) +
         (out_->removed_runs() + err_->removed_runs() > 0 ? 1u : 0u);
}

std::string RunLog::losses() const {
  std::string words;
  for (const auto* file : {&*out_, &*err_}) {
    const std::string name(file == &*out_ ? "stdout" : "stderr");
    if (file->error() != 0)
      say(words, name + ": " + (file->lost() > 0 ? format_bytes(file->lost()) + " lost" : "not rotated") + ": " +
                     file->problem());
    if (file->was_replaced())
      say(words, name + ": somebody else has removed, renamed or cut the file; it goes on anew");
  }
  if (journal_ && journal_->lost() > 0)
    say(words, format_bytes(journal_->lost()) + " of output dropped: the journal did not take it");
  if (const std::size_t runs = out_->collected() + err_->collected(); runs > 0)
    say(words, collected_words(runs, out_->work_dir_quota()));
  if (const std::size_t runs = out_->removed_runs() + err_->removed_runs(); runs > 0)
    say(words, "the logs of " + std::to_string(runs) + (runs == 1 ? " earlier run" : " earlier runs") +
                   " of the task were removed: " + (err_->removed_runs() > 0 ? *err_ : *out_).removed_for());
  return words;
}

void say(std::string& words, const std::string& more) { words += (words.empty() ? "" : "; ") + more; }

std::int64_t wall_time() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

}  // namespace dewar
