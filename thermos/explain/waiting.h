#pragma once

#include <string>
#include <vector>

#include "thermos/explain/evidence.h"

namespace dewar {

/// A process that does not run: what it waits for, or, once the task has ended, why it was not started.
struct Waiting {
  bool for_ever = false;           ///< it will not run any more
  bool dependency = false;         ///< another process is the reason
  std::string words;               ///< "waits for fetch, which is in its run 2 of 3"; "was not started: …"
  std::vector<std::string> chain;  ///< process by process up to the first cause, in words
};

/// `process` has never run, or waits for its next run.
Waiting why_waiting(const Evidence& evidence, const std::string& process);

/// What a living process is at: "has run for 5m", "is in its run 2 of 3". Empty if it neither runs nor is being
/// started.
std::string at_work(const Evidence& evidence, const std::string& process);

}  // namespace dewar
