// Why a task or a run of a process ended, or what it waits for: one sentence for a chat message, then the evidence.
// Pure: values in, values out.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "thermos/explain/card.h"
#include "thermos/explain/death.h"
#include "thermos/explain/evidence.h"

namespace dewar {

struct Explanation {
  std::string task_id, process;  ///< process: empty for the whole task
  std::optional<int> run;
  std::string state;               ///< "FAILED", "ACTIVE"; of a process without a run "WAITING"
  Cause cause = Cause::kNone;      ///< of this task or run itself
  std::string sentence;            ///< at most kLongestSentence bytes, in one line
  std::vector<std::string> chain;  ///< what led to it, the first cause last; empty if it is its own
  std::vector<Card> cards;
  std::vector<std::string> advice;  ///< what to do
};

constexpr std::size_t kLongestSentence = 160;

Explanation explain_task(const Evidence& evidence);

/// `process` is in the plan or in the history. Without `run`: the last one, or why there is none.
Explanation explain_process(const Evidence& evidence, const std::string& process, std::optional<int> run);

}  // namespace dewar
