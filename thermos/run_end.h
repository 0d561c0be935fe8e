#pragma once

#include <string>

#include "isolation/usage.h"

namespace dewar {

/// How a run ended, as told by its launcher.
struct RunEnd {
  enum class Kind { kExited, kLost } kind = Kind::kExited;
  int return_code = 0;   ///< kExited: exit status, or minus the signal number
  double stop_time = 0;  ///< Unix seconds
  std::string reason;    ///< in words, if more is known than the code: "out of memory", "step pivot_root: …"
  Usage usage;
  bool failed = false;      ///< FAILED whatever the code: it has broken a limit of its own
  std::string limits = {};  ///< that it lived under, as limits_text() writes them
};

}  // namespace dewar
