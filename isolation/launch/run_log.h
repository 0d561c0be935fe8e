#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "isolation/launch/compressor.h"
#include "isolation/launch/index_file.h"
#include "isolation/launch/journal.h"
#include "isolation/launch/log_file.h"
#include "isolation/launch_info.h"
#include "isolation/log_quota.h"

namespace dewar {

/// Where the output of one run is kept: the files of both streams and the index beside them, within the task's quota.
class RunLog {
 public:
  /// Errors: of open(2); ELOOP or EINVAL if something else than a regular file is in a place. `subject` is then what
  /// could not be opened.
  static Result<std::unique_ptr<RunLog>> open(const LogRecipe& recipe, LogFile::Begin begin, std::string& subject);
  RunLog(const RunLog&) = delete;
  RunLog& operator=(const RunLog&) = delete;

  const LogPolicy& policy() const { return policy_; }
  LogFile& file(OutputStream stream) { return stream == OutputStream::kStdout ? *out_ : *err_; }
  IndexFile& index() { return *index_; }
  Compressor& compressor() { return compressor_; }
  /// Where a copy of everything goes, or null.
  Journal* journal() { return journal_ ? &*journal_ : nullptr; }
  /// What is to be done about once a second while there is output: see LogFile::check(), IndexFile::check().
  void look_after();
  /// Why bytes are missing, or were in danger, here or of ended runs: how many reasons there are, and all in words for
  /// a person.
  std::size_t reasons() const;
  std::string losses() const;

 private:
  explicit RunLog(const LogRecipe& recipe) : policy_(recipe.policy), compressor_(recipe) {
    if (!recipe.journal.empty()) journal_.emplace(recipe);
  }

  const LogPolicy policy_;
  UniqueFd folder_;
  LogQuota quota_;
  std::optional<IndexFile> index_;
  std::optional<LogFile> out_, err_;
  Compressor compressor_;
  std::optional<Journal> journal_;
};

/// "a; b": adds a sentence to others.
void say(std::string& words, const std::string& more);

/// CLOCK_REALTIME in nanoseconds.
std::int64_t wall_time();

}  // namespace dewar
