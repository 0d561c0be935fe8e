#pragma once

#include <string>

#include "base/clock.h"
#include "fetcher/request.h"

namespace dewar {

/// Tells those who look at the status file how far the fetching is, a few times a second at most.
class Reporter {
 public:
  Reporter(std::string file, std::int32_t run, std::size_t artifacts);

  void begin(std::size_t index, const std::string& shown_uri);
  /// Why nothing moves: "waits for another task's download"; empty once it does.
  void wait_for(const std::string& words);
  void progress(std::uint64_t bytes, std::uint64_t total);
  void stage(FetchStage stage);
  void done(FetchedItem item);
  void finish(const std::string& error);

 private:
  void write();

  std::string file_;
  FetchStatus status_;
  Time told_{}, rate_start_{};
  std::uint64_t rate_bytes_ = 0;
};

}  // namespace dewar
