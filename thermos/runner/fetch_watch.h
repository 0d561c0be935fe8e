#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "base/unique_fd.h"
#include "thermos/runner/watcher.h"

namespace dewar {

/// Tells how far dewar-fetch is, from the status files that it replaces in `<run>/fetch`: a "progress" event now and
/// then, which is only shown, and a "fetch" event that stays when a process has fetched all of its artifacts.
class FetchWatch final : public Watcher {
 public:
  explicit FetchWatch(const WatchContext& context);
  ~FetchWatch() override;

 private:
  void look(const std::string& process);

  WatchContext context_;
  UniqueFd changes_;
  std::map<std::string, int> told_;  ///< process -> the run whose end was told
};

/// Why a run of dewar-fetch failed, in its own words; empty if it did not say.
std::string fetch_failure(const RunnerSpec& spec, const std::string& process, int run);

}  // namespace dewar
