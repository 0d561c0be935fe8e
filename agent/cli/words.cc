#include "agent/cli/words.h"

#include <cmath>
#include <cstdio>
#include <ctime>

#include "thermos/explain/words.h"

namespace dewar {
namespace {

struct Look {
  const char* sign;
  const char* ascii;
  Tone tone;
};

Look look_of(ProcessState state) {
  switch (state) {
    case ProcessState::kWaiting:
      return {"·", ".", Tone::kFaint};
    case ProcessState::kForked:
      return {"○", "o", Tone::kBusy};
    case ProcessState::kRunning:
      return {"▶", ">", Tone::kBusy};
    case ProcessState::kSuccess:
      return {"✔", "+", Tone::kGood};
    case ProcessState::kKilled:
      return {"■", "#", Tone::kWarn};
    case ProcessState::kFailed:
      return {"✘", "x", Tone::kBad};
    case ProcessState::kLost:
      return {"?", "?", Tone::kBad};
  }
  return {"?", "?", Tone::kPlain};
}

Look look_of(TaskState state) {
  switch (state) {
    case TaskState::kActive:
      return look_of(ProcessState::kRunning);
    case TaskState::kCleaning:
    case TaskState::kFinalizing:
      return {"◌", "o", Tone::kBusy};
    case TaskState::kSuccess:
      return look_of(ProcessState::kSuccess);
    case TaskState::kFailed:
      return look_of(ProcessState::kFailed);
    case TaskState::kKilled:
      return look_of(ProcessState::kKilled);
    case TaskState::kLost:
      return look_of(ProcessState::kLost);
  }
  return {"?", "?", Tone::kPlain};
}

template <class State>
std::string sign_and_word_of(State state, const Paint& paint) {
  const Look look = look_of(state);
  return std::string(paint.utf8 ? look.sign : look.ascii) + " " + std::string(to_string(state));
}

}  // namespace

std::string sign_and_word(ProcessState state, const Paint& paint) { return sign_and_word_of(state, paint); }
std::string sign_and_word(TaskState state, const Paint& paint) { return sign_and_word_of(state, paint); }
Tone tone_of(ProcessState state) { return look_of(state).tone; }
Tone tone_of(TaskState state) { return look_of(state).tone; }

std::string why(const RunHistory& run) {
  if (!is_terminal(run.state) || run.state == ProcessState::kSuccess) return {};
  if (!run.reason.empty()) return run.reason;
  if (!run.return_code) return run.state == ProcessState::kLost ? "nobody saw how it ended" : "";
  return code_words(*run.return_code);
}

std::string clock_time(double unix_seconds, bool digits) {
  const long long millis = std::llround(unix_seconds * 1e6) / 1000;
  const auto whole = static_cast<std::time_t>(millis / 1000);
  std::tm local{};
  localtime_r(&whole, &local);
  char text[32];
  const std::size_t size = std::strftime(text, sizeof text, "%H:%M:%S", &local);
  if (digits) std::snprintf(text + size, sizeof text - size, ".%03d", static_cast<int>(millis % 1000));
  return text;
}

}  // namespace dewar
