#pragma once

#include <string>
#include <utility>
#include <vector>

#include "thermos/explain/evidence.h"

namespace dewar {

/// One piece of evidence. What it does not have is empty.
struct Card {
  std::string title;
  std::vector<std::pair<std::string, std::string>> rows;  ///< name, value
  std::vector<std::string> lines;                         ///< of output, as they are
  std::vector<MemoryPoint> memory;                        ///< to be drawn
};

}  // namespace dewar
