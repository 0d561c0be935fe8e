#include "thermos/states.h"

namespace dewar {

std::string_view to_string(ProcessState state) {
  constexpr std::string_view kNames[] = {"WAITING", "FORKED", "RUNNING", "SUCCESS", "KILLED", "FAILED", "LOST"};
  return kNames[static_cast<std::size_t>(state)];
}

std::string_view to_string(TaskState state) {
  constexpr std::string_view kNames[] = {"ACTIVE", "SUCCESS", "FAILED", "KILLED", "LOST", "CLEANING", "FINALIZING"};
  return kNames[static_cast<std::size_t>(state)];
}

}  // namespace dewar
